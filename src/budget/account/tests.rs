use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Reserve(i128),
    Settle { which: usize, permille: i128 },
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0i128..400).prop_map(Step::Reserve),
        (0usize..64, 0i128..=1000).prop_map(|(which, permille)| Step::Settle { which, permille }),
        (0i64..DAY / 3).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whoever spends no more than was set aside for him never takes the account past its limit, and nothing leaks.
    #[test]
    fn spent_and_held_never_pass_the_limit(steps in steps(), daily: bool) {
        let limit = Money(1_000);
        let mut now = 5 * DAY + 17;
        let mut account = match daily {
            true => Account::daily("per_day", limit, Money(100), now),
            false => Account::total("total", limit, Money(100)),
        };
        let (mut holds, mut day, mut spent) = (Vec::<Money>::new(), now / DAY, Money(100));
        for step in steps {
            match step {
                Step::Reserve(amount) => {
                    let held: Money = holds.iter().copied().sum();
                    let today = if daily && now / DAY > day { Money::ZERO } else { spent };
                    let fits = today + held + Money(amount) <= limit;
                    prop_assert_eq!(account.check(Money(amount), now).is_ok(), fits);
                    if fits {
                        account.hold(Money(amount));
                        holds.push(Money(amount));
                    }
                }
                Step::Settle { which, permille } if !holds.is_empty() => {
                    let hold = holds.swap_remove(which % holds.len());
                    let part = Money(hold.0 * permille / 1000);
                    account.settle(hold, part, now);
                    if daily && now / DAY > day {
                        spent = Money::ZERO;
                        day = now / DAY;
                    }
                    spent += part;
                }
                Step::Settle { .. } => {}
                Step::Pass(time) => now += time,
            }
            if daily && account.check(Money::ZERO, now).is_ok() && now / DAY > day {
                spent = Money::ZERO;
                day = now / DAY;
            }
            prop_assert_eq!(account.held(), holds.iter().copied().sum::<Money>());
            prop_assert!(account.spent() + account.held() <= limit);
        }
    }
}

#[test]
fn a_day_that_begins_starts_the_account_anew() {
    let mut account = Account::daily("per_day", Money(10), Money(10), DAY - 1);
    let breach = account.check(Money(1), DAY - 1).unwrap_err();
    assert_eq!((breach.until, breach.spent), (Some(DAY), Money(10)));
    assert!(account.check(Money(1), DAY).is_ok());
}
