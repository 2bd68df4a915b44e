//! Accounts, their gold, and what it buys.

use std::collections::HashMap;

use crate::wire::Reason;

/// What the shop has, and what it costs. A client knows the list too: its items are numbered by their place in it.
pub const ITEMS: [(&str, u64); 4] = [("potion", 5), ("boots", 15), ("blade", 40), ("crown", 120)];

/// What a new account owns.
const ALLOWANCE: u64 = 20;
/// More accounts than this the server does not hold: about 100 MB.
const MAX_ACCOUNTS: usize = 1 << 20;
/// The longest name.
const MAX_NAME: usize = 32;

/// A player's number: the same at each login.
pub(super) type Player = u32;

/// All players that have ever logged in.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    numbers: HashMap<Box<str>, Player>,
    accounts: Vec<Account>,
}

#[derive(Debug)]
struct Account {
    gold: u64,
    items: [u32; ITEMS.len()],
}

impl Accounts {
    /// The player of this name, made if it is new.
    pub(super) fn open(&mut self, name: &str) -> Result<Player, Reason> {
        if let Some(&player) = self.numbers.get(name) {
            return Ok(player);
        }
        let good = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(good) {
            return Err(Reason::BadAccount);
        }
        if self.accounts.len() >= MAX_ACCOUNTS {
            return Err(Reason::ServerFull);
        }
        let player = Player::try_from(self.accounts.len()).map_err(|_| Reason::ServerFull)?;
        self.accounts.push(Account { gold: ALLOWANCE, items: [0; ITEMS.len()] });
        self.numbers.insert(name.into(), player);
        Ok(player)
    }

    /// What the player owns.
    pub(super) fn gold(&self, player: Player) -> u64 {
        self.accounts.get(player as usize).map_or(0, |account| account.gold)
    }

    /// Adds to what the player owns; what it is then.
    pub(super) fn earn(&mut self, player: Player, gold: u32) -> u64 {
        let Some(account) = self.accounts.get_mut(player as usize) else { return 0 };
        account.gold = account.gold.saturating_add(u64::from(gold));
        account.gold
    }

    /// Sells an item to the player; what gold is left.
    pub(super) fn buy(&mut self, player: Player, item: u32) -> Result<u64, Reason> {
        let item = item as usize;
        let (_, price) = ITEMS.get(item).ok_or(Reason::NoSuchItem)?;
        let account = self.accounts.get_mut(player as usize).ok_or(Reason::NotLoggedIn)?;
        account.gold = account.gold.checked_sub(*price).ok_or(Reason::NotEnoughGold)?;
        account.items[item] = account.items[item].saturating_add(1);
        Ok(account.gold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_keeps_its_number_and_its_gold() {
        let mut accounts = Accounts::default();
        let ann = accounts.open("ann").unwrap();
        let bob = accounts.open("bob_2").unwrap();
        assert_ne!(ann, bob);
        assert_eq!(accounts.earn(ann, 13), 33);
        assert_eq!(accounts.open("ann"), Ok(ann));
        assert_eq!((accounts.gold(ann), accounts.gold(bob)), (33, 20));
    }

    #[test]
    fn names_are_checked() {
        let mut accounts = Accounts::default();
        for name in ["", "two words", "ümlaut", "nul\0", "a-name-that-is-one-byte-too-long-"] {
            assert_eq!(accounts.open(name), Err(Reason::BadAccount), "{name:?}");
        }
    }

    #[test]
    fn the_shop_sells_what_it_has_to_those_who_can_pay() {
        let mut accounts = Accounts::default();
        let ann = accounts.open("ann").unwrap();
        assert_eq!(accounts.buy(ann, 0), Ok(15));
        assert_eq!(accounts.buy(ann, 1), Ok(0));
        assert_eq!(accounts.buy(ann, 0), Err(Reason::NotEnoughGold));
        assert_eq!(accounts.buy(ann, u32::MAX), Err(Reason::NoSuchItem));
        assert_eq!(accounts.buy(99, 0), Err(Reason::NotLoggedIn));
        assert_eq!(accounts.gold(ann), 0);
    }
}
