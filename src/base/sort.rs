//! Sorting indexes of anything, without panics and recursion.

/// Heap sort: no recursion, n log n on every input; core's sorts can panic and weigh more than all of this file.
pub fn sort(items: &mut [usize], less: &dyn Fn(usize, usize) -> bool) {
    let len = items.len();
    for root in (0..len / 2).rev() {
        sift(items, root, len, less);
    }
    for end in (1..len).rev() {
        exchange(items, 0, end);
        sift(items, 0, end, less);
    }
}

/// Lets the item at `root` sink until none below it, up to `end`, is larger.
fn sift(items: &mut [usize], mut root: usize, end: usize, less: &dyn Fn(usize, usize) -> bool) {
    let smaller = |items: &[usize], a: usize, b: usize| match (items.get(a), items.get(b)) {
        (Some(&a), Some(&b)) => less(a, b),
        _ => false,
    };
    loop {
        let mut child = root.saturating_mul(2).saturating_add(1);
        let other = child.saturating_add(1);
        if child >= end {
            return;
        }
        if other < end && smaller(items, child, other) {
            child = other;
        }
        if !smaller(items, root, child) {
            return;
        }
        exchange(items, root, child);
        root = child;
    }
}

fn exchange(items: &mut [usize], a: usize, b: usize) {
    if let (Some(&one), Some(&other)) = (items.get(a), items.get(b)) {
        for (place, item) in [(a, other), (b, one)] {
            if let Some(place) = items.get_mut(place) {
                *place = item;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sort_sorts() {
        let mut state = 7usize;
        for len in 0..200 {
            let mut items: Vec<usize> = (0..len)
                .map(|_| {
                    state = state.wrapping_mul(25_214_903_917).wrapping_add(11) % 1_000_003;
                    state % 50
                })
                .collect();
            let mut want = items.clone();
            want.sort_unstable();
            sort(&mut items, &|a, b| a < b);
            assert_eq!(items, want);
        }
    }
}
