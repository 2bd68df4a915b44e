//! `Networks`: which player is on which network, in exact shares and without state.

use super::{NetworkError, Profile};
use crate::seed::Seed;
use crate::weights::Weights;

/// Profiles and the share of the players that each has.
///
/// Which seat has which follows from the run's seed and the seat alone, so it is the same on any shard and worker. Any
/// seats in a row have each profile to within a few seats of its weight, as with personas, and independent of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Networks {
    profiles: Vec<Profile>,
    weights: Weights,
}

impl Networks {
    /// Profiles with their weights, in the order of their indices.
    ///
    /// # Errors
    /// [`NetworkError::Weights`], as [`Weights::new`].
    pub fn new(profiles: impl IntoIterator<Item = (Profile, f64)>) -> Result<Networks, NetworkError> {
        let (profiles, weights): (Vec<Profile>, Vec<f64>) = profiles.into_iter().unzip();
        let named = profiles.iter().map(Profile::name).zip(weights);
        let weights = Weights::new(named).map_err(NetworkError::Weights)?;
        Ok(Networks { profiles, weights })
    }

    /// Reads a mixture as people write it: `lte`, or `lte=0.3,perfect=0.7`. `own` are known beside the kit's profiles.
    ///
    /// # Errors
    /// If a profile is unknown or stands there twice, if a weight is no number, negative or left out of several, or if all
    /// are 0.
    pub fn parse(text: &str, own: &[Profile]) -> Result<Networks, NetworkError> {
        let parts = text.split(',').map(|part| {
            let (name, weight) = match part.split_once('=') {
                Some((name, weight)) => (name, weight.trim().parse().ok()),
                // One alone has all players; beside others, nobody knows what was meant.
                None => (part, (!text.contains(',')).then_some(1.0)),
            };
            let weight: f64 = weight.ok_or_else(|| NetworkError::Text { part: part.trim().to_owned() })?;
            Ok((find(name.trim(), own)?, weight))
        });
        Networks::new(parts.collect::<Result<Vec<_>, _>>()?)
    }

    /// The index of a seat's profile. A profile of weight 0 is nobody's.
    pub fn pick(&self, seed: Seed, seat: u64) -> usize {
        self.weights.pick_network(seed, seat)
    }

    /// A profile, if there is one of this index.
    pub fn get(&self, index: usize) -> Option<&Profile> {
        self.profiles.get(index)
    }

    /// The profiles and the share of the players that each has, in the order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = (&Profile, f64)> {
        self.profiles.iter().enumerate().map(|(index, profile)| (profile, self.weights.share(index)))
    }
}

/// A profile of one's own, or of the kit's.
pub(crate) fn find(name: &str, own: &[Profile]) -> Result<Profile, NetworkError> {
    let known = Profile::known();
    let mut all = own.iter().chain(&known);
    all.find(|profile| profile.name() == name).cloned().ok_or_else(|| {
        let known = own.iter().chain(&known).map(|profile| profile.name().to_owned()).collect();
        NetworkError::Unknown { name: name.to_owned(), known }
    })
}
