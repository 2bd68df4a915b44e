//! `seed -> messages of the schema`: the same random ones each time, with what any language needs to build them anew.

use loadkit::core::Seed;
use loadkit::rand::{Rng, RngExt};
use loadkit::transport::protobuf::prost::Message;
use loadkit::transport::protobuf::{Either, Envelope, Outcome, Paged, Wire};
use serde_json::{Map, Value, json};

use crate::schema::{Buy, Dated, Item, Move, News, Purchase, Reason, Refused, Shelf, ShopPage, dated, item, shelf};

/// A message as its bytes, and as a tree of its fields: `{"type": "interop.Move", "fields": {"dx": -1}}`.
///
/// Numbers of 64 bits are texts, bytes are `{"hex": "…"}`, and where the schema has bytes that are a message, there is
/// the tree of that message.
pub struct Sample {
    /// The name of the Rust type.
    pub name: &'static str,
    /// What to build.
    pub tree: Value,
    /// What it is on the wire.
    pub bytes: Vec<u8>,
    /// Reads it as what it is, and writes it again.
    pub again: fn(&[u8]) -> Option<Vec<u8>>,
}

/// `count` messages of each type, small and large, empty ones among them.
pub fn samples(seed: Seed, count: u64) -> Vec<Sample> {
    let kinds: [fn(&mut Dice) -> Sample; 12] = [
        Dice::sample::<Envelope<Move>>,
        Dice::sample::<Envelope<Buy>>,
        Dice::sample::<Envelope<Purchase>>,
        Dice::sample::<Envelope<ShopPage>>,
        Dice::sample::<Envelope<News>>,
        Dice::sample::<Item>,
        Dice::sample::<Dated<Item, Refused>>,
        Dice::sample::<Dated<Paged<Move>, Outcome<Move, Refused>>>,
        Dice::sample::<Paged<Dated<Move, Move>>>,
        Dice::sample::<Outcome<Paged<Item>, Refused>>,
        Dice::sample::<Purchase>,
        Dice::sample::<News>,
    ];
    let mut samples = vec![sample(Envelope::<Move> { seq: 7, ..Envelope::new(Move { dx: -1, dy: 300 }) })];
    for n in 0..count {
        for (kind, make) in (0..).zip(kinds) {
            samples.push(make(&mut Dice(Box::new(seed.rng("samples", n, kind)))));
        }
    }
    samples
}

/// A message that can be thrown.
trait Random: Message + Default + PartialEq {
    /// Its name in the schema.
    const TYPE: &'static str;

    fn throw(dice: &mut Dice) -> Self;

    fn fields(&self) -> Map<String, Value>;
}

fn tree<M: Random>(message: &M) -> Value {
    json!({ "type": M::TYPE, "fields": message.fields() })
}

fn trees<M: Random>(messages: &[M]) -> Value {
    messages.iter().map(tree).collect()
}

fn sample<M: Random>(message: M) -> Sample {
    Sample {
        name: std::any::type_name::<M>(),
        tree: tree(&message),
        bytes: message.encode_to_vec(),
        again: |bytes| M::decode(bytes).ok().map(|message| message.encode_to_vec()),
    }
}

/// What chance decides. Half of all fields are empty, and extremes are as likely as all between.
struct Dice(Box<dyn Rng>);

impl Dice {
    fn sample<M: Random>(&mut self) -> Sample {
        sample(M::throw(self))
    }

    fn yes(&mut self) -> bool {
        self.0.random()
    }

    fn bits(&mut self) -> u64 {
        let (bits, width): (u64, u32) = (self.0.random(), self.0.random_range(0..=64));
        match self.0.random_range(0..8) {
            0..3 => 0,
            3 => u64::MAX,
            4 => 1 << 63,
            _ => bits.checked_shr(width).unwrap_or(0),
        }
    }

    fn text(&mut self) -> String {
        let len = if self.yes() { 0 } else { self.0.random_range(1..200) };
        let chars = ['a', '\0', '"', 'ß', '€', '\u{ffff}', '🎲', '\u{10ffff}'];
        (0..len).map(|_| chars[self.0.random_range(0..chars.len())]).collect()
    }

    fn several<T>(&mut self, mut make: impl FnMut(&mut Dice) -> T) -> Vec<T> {
        let len = if self.yes() { 0 } else { self.0.random_range(1..4) };
        (0..len).map(|_| make(self)).collect()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Dice) -> T) -> Option<T> {
        self.yes().then(|| make(self))
    }

    /// A fraction that any language reads from text as it is. A negative zero is none: prost does not write it.
    fn fraction(&mut self) -> f64 {
        let fraction = f64::from_bits(self.bits());
        if fraction.is_finite() && fraction != 0.0 { fraction } else { f64::from(self.bits() as u32) }
    }
}

/// `{ name: value, … }`, without those that are not there.
fn fields<const N: usize>(all: [(&str, Option<Value>); N]) -> Map<String, Value> {
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn text(number: impl ToString) -> Option<Value> {
    Some(number.to_string().into())
}

fn value(value: impl Into<Value>) -> Option<Value> {
    Some(value.into())
}

impl Random for Move {
    const TYPE: &'static str = "interop.Move";

    fn throw(dice: &mut Dice) -> Move {
        Move { dx: dice.bits() as i32, dy: dice.bits() as i32 }
    }

    fn fields(&self) -> Map<String, Value> {
        fields([("dx", value(self.dx)), ("dy", value(self.dy))])
    }
}

impl Random for Buy {
    const TYPE: &'static str = "interop.Buy";

    fn throw(dice: &mut Dice) -> Buy {
        Buy { item: dice.bits() as u32 }
    }

    fn fields(&self) -> Map<String, Value> {
        fields([("item", value(self.item))])
    }
}

impl Random for Refused {
    const TYPE: &'static str = "interop.Refused";

    fn throw(dice: &mut Dice) -> Refused {
        // 999 is a reason that a newer server may have.
        let reason = [Reason::Unspecified.into(), Reason::TooLate.into(), 999, -1][dice.0.random_range(0..4)];
        Refused { reason, words: dice.text() }
    }

    fn fields(&self) -> Map<String, Value> {
        fields([("reason", value(self.reason)), ("words", value(self.words.clone()))])
    }
}

impl Random for Item {
    const TYPE: &'static str = "interop.Item";

    fn throw(dice: &mut Dice) -> Item {
        Item {
            id: dice.bits() as u32,
            name: dice.text(),
            price: dice.bits(),
            tags: dice.several(|dice| dice.bits() as u32),
            debt: dice.bits() as i64,
            offset: dice.bits() as i64,
            colour: dice.bits() as u32,
            stamp: dice.bits() as i64,
            weight: dice.fraction(),
            chance: f32::from_bits(dice.bits() as u32 & 0x7f7f_ffff),
            rare: dice.yes(),
            icon: dice.several(|dice| dice.bits() as u8),
            slot: dice.maybe(|dice| dice.bits() as i32),
            words: dice.several(Dice::text),
            path: dice.several(Move::throw),
            how: dice.maybe(|dice| match dice.yes() {
                true => item::How::Found(Move::throw(dice)),
                false => item::How::Bought(dice.bits() as u32),
            }),
        }
    }

    fn fields(&self) -> Map<String, Value> {
        let hex: String = self.icon.iter().map(|byte| format!("{byte:02x}")).collect();
        let (mut found, mut bought) = (None, None);
        match &self.how {
            Some(item::How::Found(place)) => found = Some(tree(place)),
            Some(item::How::Bought(price)) => bought = value(*price),
            None => {}
        }
        fields([
            ("id", value(self.id)),
            ("name", value(self.name.clone())),
            ("price", text(self.price)),
            ("tags", value(self.tags.clone())),
            ("debt", text(self.debt)),
            ("offset", text(self.offset)),
            ("colour", value(self.colour)),
            ("stamp", text(self.stamp)),
            ("weight", value(self.weight)),
            ("chance", value(f64::from(self.chance))),
            ("rare", value(self.rare)),
            ("icon", value(json!({ "hex": hex }))),
            ("slot", self.slot.map(Value::from)),
            ("words", value(self.words.clone())),
            ("path", value(trees(&self.path))),
            ("found", found),
            ("bought", bought),
        ])
    }
}

impl<T: Random, By: Random> Random for Dated<T, By> {
    const TYPE: &'static str = "interop.Dated";

    fn throw(dice: &mut Dice) -> Self {
        Dated {
            since_ms: dice.bits(),
            reason: Reason::TooFar.into(),
            value: T::throw(dice),
            before: dice.maybe(T::throw),
            after: dice.several(T::throw),
            history: dice.several(|dice| dice.bits() as i64),
            words: dice.text(),
            author: dice.maybe(|dice| match dice.0.random_range(0..3) {
                0 => dated::Author::Name(dice.text()),
                1 => dated::Author::By(By::throw(dice)),
                _ => dated::Author::All(Paged::throw(dice)),
            }),
        }
    }

    fn fields(&self) -> Map<String, Value> {
        let history: Value = self.history.iter().map(i64::to_string).collect();
        let (mut name, mut by, mut all) = (None, None, None);
        match &self.author {
            Some(dated::Author::Name(author)) => name = value(author.clone()),
            Some(dated::Author::By(author)) => by = Some(tree(author)),
            Some(dated::Author::All(authors)) => all = Some(tree(authors)),
            None => {}
        }
        fields([
            ("since_ms", text(self.since_ms)),
            ("reason", value(self.reason)),
            ("value", Some(tree(&self.value))),
            ("before", self.before.as_ref().map(tree)),
            ("after", Some(trees(&self.after))),
            ("history", Some(history)),
            ("name", name),
            ("by", by),
            ("all", all),
            ("words", value(self.words.clone())),
        ])
    }
}

impl<T: Random> Random for Paged<T> {
    const TYPE: &'static str = "lk.Paged";

    fn throw(dice: &mut Dice) -> Self {
        Paged { items: dice.several(T::throw), page: dice.bits() as u32, total: dice.bits(), next: dice.text() }
    }

    fn fields(&self) -> Map<String, Value> {
        fields([
            ("items", Some(trees(&self.items))),
            ("page", value(self.page)),
            ("total", text(self.total)),
            ("next", value(self.next.clone())),
        ])
    }
}

impl<T: Random, E: Random> Random for Outcome<T, E> {
    const TYPE: &'static str = "lk.Outcome";

    fn throw(dice: &mut Dice) -> Self {
        let either = dice.maybe(|dice| match dice.yes() {
            true => Either::Ok(T::throw(dice)),
            false => Either::Error(E::throw(dice)),
        });
        Outcome { either }
    }

    fn fields(&self) -> Map<String, Value> {
        match &self.either {
            Some(Either::Ok(ok)) => fields([("ok", Some(tree(ok)))]),
            Some(Either::Error(error)) => fields([("error", Some(tree(error)))]),
            None => Map::new(),
        }
    }
}

impl<T: Random + Wire> Random for Envelope<T> {
    const TYPE: &'static str = "lk.Envelope";

    fn throw(dice: &mut Dice) -> Self {
        Envelope { seq: dice.bits(), reply_to: dice.bits(), ..Envelope::new(T::throw(dice)) }
    }

    fn fields(&self) -> Map<String, Value> {
        fields([
            ("opcode", value(self.opcode)),
            ("seq", text(self.seq)),
            ("reply_to", text(self.reply_to)),
            ("payload", Some(tree(&self.body))),
        ])
    }
}

impl Random for Purchase {
    const TYPE: &'static str = "interop.Purchase";

    fn throw(dice: &mut Dice) -> Purchase {
        Purchase(Outcome::throw(dice))
    }

    fn fields(&self) -> Map<String, Value> {
        self.0.fields()
    }
}

impl Random for ShopPage {
    const TYPE: &'static str = "interop.ShopPage";

    fn throw(dice: &mut Dice) -> ShopPage {
        ShopPage(Paged::throw(dice))
    }

    fn fields(&self) -> Map<String, Value> {
        self.0.fields()
    }
}

impl Random for News {
    const TYPE: &'static str = "interop.News";

    fn throw(dice: &mut Dice) -> News {
        News { price: Dated::throw(dice), outcome: dice.maybe(Outcome::throw), shelf: dice.maybe(Shelf::throw) }
    }

    fn fields(&self) -> Map<String, Value> {
        fields([
            ("price", Some(tree(&self.price))),
            ("outcome", self.outcome.as_ref().map(tree)),
            ("shelf", self.shelf.as_ref().map(tree)),
        ])
    }
}

impl Random for Shelf {
    const TYPE: &'static str = "interop.Shelf";

    fn throw(dice: &mut Dice) -> Shelf {
        Shelf { pages: dice.several(Paged::throw), label: dice.maybe(shelf::Label::throw) }
    }

    fn fields(&self) -> Map<String, Value> {
        fields([("pages", Some(trees(&self.pages))), ("label", self.label.as_ref().map(tree))])
    }
}

impl Random for shelf::Label {
    const TYPE: &'static str = "interop.Shelf.Label";

    fn throw(dice: &mut Dice) -> shelf::Label {
        shelf::Label { text: dice.text(), about: Move::throw(dice) }
    }

    fn fields(&self) -> Map<String, Value> {
        fields([("text", value(self.text.clone())), ("about", Some(tree(&self.about)))])
    }
}
