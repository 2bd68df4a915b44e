//! `typed message <-> bytes of a chunk`: what client and server say to each other once they are connected.
//!
//! A message starts with `id << 1 | system`: system messages carry the connection's life and the snapshots, the
//! others belong to the game. Ids and fields are those of Teeworlds 0.7.5 (libtw2, the protocol's description in
//! gamenet/generate/spec). What bots have no use for is read as [`ServerMessage::Other`].

use crate::packer::{Malformed, Reader, Writer};

/// The protocol's version; the server refuses any other.
pub const VERSION: &str = "0.7 802f1be60a05665f";
/// The release that the client claims to be: 0.7.5.
pub const CLIENT_VERSION: i32 = 0x0705;
/// Ticks that the server makes in a second.
pub const TICKS_PER_SECOND: u32 = 50;
/// A tee wears this many parts: body, marking, decoration, hands, feet, eyes.
const SKIN_PARTS: usize = 6;
/// Bytes of a [`PlayerInput`] as the server counts them: ten integers of four.
const INPUT_SIZE: i32 = 40;

mod system {
    pub(super) const INFO: i32 = 1;
    pub(super) const MAP_CHANGE: i32 = 2;
    pub(super) const CON_READY: i32 = 5;
    pub(super) const SNAP: i32 = 6;
    pub(super) const SNAP_EMPTY: i32 = 7;
    pub(super) const SNAP_SINGLE: i32 = 8;
    pub(super) const INPUT_TIMING: i32 = 10;
    pub(super) const READY: i32 = 18;
    pub(super) const ENTER_GAME: i32 = 19;
    pub(super) const INPUT: i32 = 20;
    pub(super) const PING: i32 = 26;
    pub(super) const PING_REPLY: i32 = 27;
}

mod game {
    pub(super) const SV_CHAT: i32 = 3;
    pub(super) const SV_TEAM: i32 = 4;
    pub(super) const SV_KILL_MSG: i32 = 5;
    pub(super) const SV_READY_TO_ENTER: i32 = 8;
    pub(super) const SV_CLIENT_INFO: i32 = 18;
    pub(super) const CL_SAY: i32 = 24;
    pub(super) const CL_SET_TEAM: i32 = 25;
    pub(super) const CL_START_INFO: i32 = 27;
    pub(super) const CL_KILL: i32 = 28;
}

/// Where a client stands: it plays, or it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Team {
    /// Watches.
    Spectators,
    /// Plays; without teams, all players are red.
    Red,
    /// Plays for blue.
    Blue,
}

impl Team {
    fn from_wire(value: i32) -> Option<Self> {
        match value {
            -1 => Some(Self::Spectators),
            0 => Some(Self::Red),
            1 => Some(Self::Blue),
            _ => None,
        }
    }

    fn to_wire(self) -> i32 {
        match self {
            Self::Spectators => -1,
            Self::Red => 0,
            Self::Blue => 1,
        }
    }
}

/// What a player's hands do in one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayerInput {
    /// -1 walks left, 1 right, 0 stands.
    pub direction: i32,
    /// Where the cursor is, relative to the tee, to the right and down.
    pub target: (i32, i32),
    /// The jump key is down.
    pub jump: bool,
    /// Counts presses and releases of the fire key; odd: it is down.
    pub fire: i32,
    /// The hook key is down.
    pub hook: bool,
    /// The weapon to switch to, from 1 (hammer) on; 0 keeps the one at hand.
    pub wanted_weapon: i32,
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// Who knocks, and with which password (empty: none).
    Info {
        /// The server's password.
        password: String,
    },
    /// Has the map (or does without: the server does not check), and wants to go on.
    Ready,
    /// The name to play under.
    StartInfo {
        /// At most 15 bytes of it are shown.
        name: String,
        /// At most 11 bytes of it are shown.
        clan: String,
    },
    /// Comes into the game.
    EnterGame,
    /// The hands at one tick.
    Input {
        /// The newest snapshot that has arrived whole; -1 asks for one that stands alone.
        ack_tick: i32,
        /// The tick that this is meant for. The server takes only later ones than before.
        tick: i32,
        /// The hands.
        input: PlayerInput,
    },
    /// Asks for [`ServerMessage::PingReply`]. The server answers with its next packet, so the answer tells of its
    /// snapshot rate too.
    Ping,
    /// Answers [`ServerMessage::Ping`].
    PingReply,
    /// Changes sides, or goes to watch.
    SetTeam(Team),
    /// Chats with all.
    Say(String),
    /// Gives up this life.
    Kill,
}

impl ClientMessage {
    /// Whether it must arrive: all but inputs and pings, which the next one replaces.
    pub fn is_vital(&self) -> bool {
        !matches!(self, Self::Input { .. } | Self::Ping | Self::PingReply)
    }

    /// Appends its bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut out = Writer::new(out);
        match self {
            Self::Info { password } => {
                out.int(system::INFO << 1 | 1).string(VERSION).string(password).int(CLIENT_VERSION);
            }
            Self::Ready => drop(out.int(system::READY << 1 | 1)),
            Self::StartInfo { name, clan } => encode_start_info(name, clan, &mut out),
            Self::EnterGame => drop(out.int(system::ENTER_GAME << 1 | 1)),
            Self::Input { ack_tick, tick, input } => {
                out.int(system::INPUT << 1 | 1).int(*ack_tick).int(*tick).int(INPUT_SIZE);
                input.encode(&mut out);
            }
            Self::Ping => drop(out.int(system::PING << 1 | 1)),
            Self::PingReply => drop(out.int(system::PING_REPLY << 1 | 1)),
            Self::SetTeam(team) => drop(out.int(game::CL_SET_TEAM << 1).int(team.to_wire())),
            Self::Say(text) => {
                const ALL: i32 = 1;
                const NOBODY: i32 = -1;
                out.int(game::CL_SAY << 1).int(ALL).int(NOBODY).string(text);
            }
            Self::Kill => drop(out.int(game::CL_KILL << 1)),
        }
    }
}

impl PlayerInput {
    fn encode(&self, out: &mut Writer<'_>) {
        const FLAGS: i32 = 0;
        out.int(self.direction.clamp(-1, 1));
        // The server divides by the distance to the cursor: it must not be zero.
        let (x, y) = if self.target == (0, 0) { (0, -1) } else { self.target };
        out.int(x).int(y);
        out.int(self.jump.into()).int(self.fire).int(self.hook.into());
        out.int(FLAGS).int(self.wanted_weapon.clamp(0, 6)).int(0).int(0);
    }
}

fn encode_start_info(name: &str, clan: &str, out: &mut Writer<'_>) {
    const NO_COUNTRY: i32 = -1;
    const PARTS: [&str; SKIN_PARTS] = ["standard", "", "", "standard", "standard", "standard"];
    out.int(game::CL_START_INFO << 1).string(name).string(clan).int(NO_COUNTRY);
    for part in PARTS {
        out.string(part);
    }
    for _own_colour in PARTS {
        out.int(0);
    }
    for _colour in PARTS {
        out.int(0);
    }
}

/// A snapshot of the world, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPart {
    /// The server's tick.
    pub tick: i32,
    /// The tick of the snapshot against which this one is a difference; -1: against an empty world.
    pub base: i32,
    /// Which part it is, from 0.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// The sum of all integers of the world after the difference; `None` if it says that nothing has changed.
    pub crc: Option<i32>,
    /// The difference, or a part of it.
    pub data: Vec<u8>,
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage {
    /// Which map is played. Comes after [`ClientMessage::Info`], and again when the map changes.
    MapChange {
        /// The map's name.
        name: String,
    },
    /// May tell its name now.
    ConReady,
    /// May come into the game now.
    ReadyToEnter,
    /// The world, 25 or 50 times a second.
    Snapshot(SnapshotPart),
    /// How an input came in time.
    InputTiming {
        /// The tick that the input was meant for.
        tick: i32,
        /// How long it came before that tick, in milliseconds; negative: too late.
        time_left_ms: i32,
    },
    /// Wants [`ClientMessage::PingReply`].
    Ping,
    /// Answers [`ClientMessage::Ping`].
    PingReply,
    /// A client is there.
    ClientInfo {
        /// Which.
        client: i32,
        /// It is this client itself.
        own: bool,
        /// Where it stands.
        team: Team,
        /// Its name.
        name: String,
    },
    /// A client changes sides.
    Team {
        /// Which.
        client: i32,
        /// Where it stands now.
        team: Team,
    },
    /// A tee has died.
    Kill {
        /// Who did it: a client, or below zero the world.
        killer: i32,
        /// Whose tee it was.
        victim: i32,
    },
    /// Somebody chats.
    Chat {
        /// Who; -1 is the server.
        client: i32,
        /// What.
        text: String,
    },
    /// Any message that bots have no use for.
    Other {
        /// It is a system message.
        system: bool,
        /// Its id among those.
        id: i32,
    },
}

impl ServerMessage {
    /// Reads the bytes of one chunk.
    ///
    /// # Errors
    /// A field of a known message is missing or malformed. Any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Reader::new(bytes);
        let head = fields.int("id")?;
        let id = head >> 1;
        if head & 1 == 1 { Self::decode_system(id, &mut fields) } else { Self::decode_game(id, &mut fields) }
    }

    fn decode_system(id: i32, fields: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match id {
            system::MAP_CHANGE => Self::MapChange { name: fields.string("name")? },
            system::CON_READY => Self::ConReady,
            system::SNAP | system::SNAP_EMPTY | system::SNAP_SINGLE => Self::Snapshot(decode_snapshot(id, fields)?),
            system::INPUT_TIMING => {
                Self::InputTiming { tick: fields.int("tick")?, time_left_ms: fields.int("time left")? }
            }
            system::PING => Self::Ping,
            system::PING_REPLY => Self::PingReply,
            id => Self::Other { system: true, id },
        })
    }

    fn decode_game(id: i32, fields: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match id {
            game::SV_READY_TO_ENTER => Self::ReadyToEnter,
            game::SV_CLIENT_INFO => Self::ClientInfo {
                client: fields.int("client")?,
                own: fields.int("own")? != 0,
                team: decode_team(fields)?,
                name: fields.string("name")?,
            },
            game::SV_TEAM => Self::Team { client: fields.int("client")?, team: decode_team(fields)? },
            game::SV_KILL_MSG => Self::Kill { killer: fields.int("killer")?, victim: fields.int("victim")? },
            game::SV_CHAT => {
                let (_mode, client, _to) = (fields.int("mode")?, fields.int("client")?, fields.int("target")?);
                Self::Chat { client, text: fields.string("text")? }
            }
            id => Self::Other { system: false, id },
        })
    }
}

fn decode_team(fields: &mut Reader<'_>) -> Result<Team, Malformed> {
    Team::from_wire(fields.int("team")?).ok_or(Malformed { field: "team" })
}

fn decode_snapshot(id: i32, fields: &mut Reader<'_>) -> Result<SnapshotPart, Malformed> {
    let tick = fields.int("tick")?;
    let base = tick.wrapping_sub(fields.int("delta tick")?);
    let (mut parts, mut part, mut crc, mut data) = (1, 0, None, Vec::new());
    if id == system::SNAP {
        parts = u32::try_from(fields.int("parts")?).map_err(|_| Malformed { field: "parts" })?;
        part = u32::try_from(fields.int("part")?).map_err(|_| Malformed { field: "part" })?;
    }
    if id != system::SNAP_EMPTY {
        crc = Some(fields.int("crc")?);
        data = fields.sized_bytes("data")?.to_vec();
    }
    Ok(SnapshotPart { tick, base, part, parts, crc, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(message: &ClientMessage) -> Vec<u8> {
        let mut out = Vec::new();
        message.encode(&mut out);
        out
    }

    #[test]
    fn the_first_message_is_what_the_server_accepted() {
        let info = encoded(&ClientMessage::Info { password: String::new() });
        assert_eq!(info, b"\x030.7 802f1be60a05665f\0\0\x85\x1c");
    }

    #[test]
    fn an_input_has_ten_integers() {
        let input = PlayerInput { direction: -1, fire: 3, jump: true, ..PlayerInput::default() };
        let bytes = encoded(&ClientMessage::Input { ack_tick: -1, tick: 7, input });
        assert_eq!(bytes, [41, 0x40, 7, 40, 0x40, 0, 0x40, 1, 3, 0, 0, 0, 0, 0]);
    }

    /// As the real server sent it, before its checksums of the map.
    #[test]
    fn a_recorded_map_change() {
        let message = ServerMessage::decode(b"\x05dm1\0\x98\xa0\xa4\xc5\x0c\x89\x6a");
        assert_eq!(message, Ok(ServerMessage::MapChange { name: "dm1".into() }));
    }

    #[test]
    fn a_snapshot_tells_its_base_as_a_distance() {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).int(system::SNAP_SINGLE << 1 | 1).int(100).int(101).int(-5).sized_bytes(b"abc");
        let Ok(ServerMessage::Snapshot(part)) = ServerMessage::decode(&bytes) else { panic!("no snapshot") };
        let expected = SnapshotPart { tick: 100, base: -1, part: 0, parts: 1, crc: Some(-5), data: b"abc".to_vec() };
        assert_eq!(part, expected);
    }

    #[test]
    fn what_bots_do_not_use_is_no_error() {
        assert_eq!(ServerMessage::decode(&[60]), Ok(ServerMessage::Other { system: false, id: 30 }));
        assert_eq!(ServerMessage::decode(&[]), Err(Malformed { field: "id" }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, id in 0u8..64) {
            let _ = ServerMessage::decode(&bytes);
            let _ = ServerMessage::decode(&[&[id], &bytes[..]].concat());
        }
    }
}
