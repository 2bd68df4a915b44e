//! How a bandwidth is divided among connections.

use super::config::THROTTLE_SCALE;

/// What was asked of a connection's way outwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    /// Bytes queued since the last look.
    pub(super) sent: u64,
    /// Bytes a second that the other side takes; 0: any number.
    pub(super) cap: u32,
}

/// So many thirty-seconds of the unreliable messages each connection may send from now on, after so much was asked of it in
/// `elapsed_us`. `bandwidth` is for all together, in bytes a second; 0: any number.
///
/// Whoever is asked for more than the other side takes is held to that; what it leaves is for the others, and they are all
/// throttled alike (`enet_host_bandwidth_throttle`).
pub(super) fn throttles(bandwidth: u32, elapsed_us: u64, uses: &[Use]) -> Vec<u8> {
    let scale = u64::from(THROTTLE_SCALE);
    let allowed = |bandwidth: u32| (u128::from(bandwidth) * u128::from(elapsed_us) / 1_000_000) as u64;
    let mut left = if bandwidth == 0 { u64::MAX } else { allowed(bandwidth) };
    let mut total: u64 = uses.iter().map(|one| one.sent).sum();
    let mut limits = vec![None; uses.len()];
    loop {
        let throttle = if total <= left { scale } else { left * scale / total };
        let mut is_settled = true;
        for (one, limit) in uses.iter().zip(&mut limits).filter(|(one, limit)| one.cap > 0 && limit.is_none()) {
            let cap = allowed(one.cap);
            if one.sent * throttle / scale > cap {
                *limit = Some((cap * scale / one.sent.max(1)).max(1) as u8);
                left = left.saturating_sub(cap);
                total -= one.sent;
                is_settled = false;
            }
        }
        if is_settled {
            return limits.into_iter().map(|limit| limit.unwrap_or(throttle as u8)).collect();
        }
    }
}

/// What of `bandwidth`, in bytes a second, each connection may use inwards, when the other side sends `wants` at most
/// (0: any number). Who wants less than its part leaves the rest to the others.
pub(super) fn shares(bandwidth: u32, wants: &[u32]) -> Vec<u32> {
    let mut left = bandwidth;
    let mut shares = vec![None; wants.len()];
    loop {
        let open = shares.iter().filter(|share| share.is_none()).count();
        let part = left.checked_div(u32::try_from(open).unwrap_or(u32::MAX)).unwrap_or(0);
        let mut is_settled = true;
        for (&want, share) in wants.iter().zip(&mut shares).filter(|(want, share)| **want > 0 && share.is_none()) {
            if want < part {
                *share = Some(want);
                left -= want;
                is_settled = false;
            }
        }
        if is_settled {
            // 0 would mean any number.
            return shares.into_iter().map(|share| share.unwrap_or(part.max(1))).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uses(uses: &[(u64, u32)]) -> Vec<Use> {
        uses.iter().map(|&(sent, cap)| Use { sent, cap }).collect()
    }

    #[test]
    fn whoever_sends_too_much_is_throttled() {
        let second = 1_000_000;
        assert_eq!(throttles(0, second, &uses(&[(1 << 40, 0), (5, 0)])), [32, 32]);
        assert_eq!(throttles(10_000, second, &uses(&[(30_000, 0), (10_000, 0)])), [8, 8]);
        assert_eq!(throttles(10_000, 4 * second, &uses(&[(30_000, 0), (10_000, 0)])), [32, 32]);
        // The first is held to its own 1,000; then 9,000 are left for 18,000.
        assert_eq!(throttles(10_000, second, &uses(&[(32_000, 1_000), (18_000, 0)])), [1, 16]);
        assert_eq!(throttles(0, second, &uses(&[(64_000, 1_000)])), [1], "a little always goes");
        assert!(throttles(7, second, &[]).is_empty());
    }

    #[test]
    fn what_one_does_not_want_is_for_the_others() {
        assert_eq!(shares(9_000, &[0, 0, 0]), [3_000; 3]);
        assert_eq!(shares(9_000, &[0, 1_000, 0]), [4_000, 1_000, 4_000]);
        assert_eq!(shares(9_000, &[3_500, 1_000, 0]), [3_500, 1_000, 4_500]);
        assert_eq!(shares(2, &[0, 0, 0]), [1; 3]);
        assert!(shares(2, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn they_never_give_more_than_there_is(
            bandwidth in 1_000..u32::MAX,
            elapsed in 1..10_000_000_u64,
            each in prop::collection::vec((0..1_u64 << 40, 0..u32::MAX), 0..20),
        ) {
            let limits = throttles(bandwidth, elapsed, &uses(&each));
            prop_assert!(limits.iter().all(|&limit| u32::from(limit) <= THROTTLE_SCALE));
            let wants: Vec<u32> = each.iter().map(|each| each.1).collect();
            let shares = shares(bandwidth, &wants);
            prop_assert!(shares.iter().map(|&share| u64::from(share)).sum::<u64>() <= u64::from(bandwidth));
            prop_assert!(shares.iter().zip(&wants).all(|(&share, &want)| want == 0 || share <= want.max(bandwidth)));
        }
    }
}
