//! [`Accounts`]: who holds how much of the machine. Rebuilt from the labs themselves, so that a restart forgets none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::instance::Lab;
use crate::{Capacity, LabState, Quantity, Resources};

/// Who holds how much. The labs' own allocations are the truth; this is their sum, kept as labs are seen.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<String, Held>,
    cpu: Quantity,
    memory: Quantity,
    provisioning: usize,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    resources: Resources,
    provisioning: bool,
}

impl Accounts {
    /// Takes a lab as it is into account.
    pub(crate) fn note(&self, lab: &Lab) {
        let allocation = lab.status.allocation.as_ref();
        let held = allocation.filter(|_| holds(lab.status.state())).map(|allocation| Held {
            resources: Resources { cpu: allocation.cpu, memory: allocation.memory },
            provisioning: lab.status.state() == LabState::Provisioning,
        });
        self.change(|state| state.set(&lab.metadata.uid, held));
    }

    /// Sets room aside for a lab, if there is any; or says in words why not.
    pub(crate) fn reserve(
        &self,
        uid: &str,
        resources: Resources,
        capacity: &Capacity,
        max_provisionings: usize,
    ) -> Result<(), String> {
        self.change(|state| {
            state.set(uid, None);
            if state.provisioning >= max_provisionings {
                return Err(format!("waits: {max_provisionings} labs are being brought up, as many as may be"));
            }
            let mut lacking = Vec::new();
            if state.cpu.plus(resources.cpu) > capacity.cpu {
                lacking.push("1 insufficient cpu");
            }
            if state.memory.plus(resources.memory) > capacity.memory {
                lacking.push("1 insufficient memory");
            }
            if state.held.len() >= capacity.labs {
                lacking.push("1 too many labs");
            }
            if lacking.is_empty() {
                state.set(uid, Some(Held { resources, provisioning: true }));
                return Ok(());
            }
            Err(format!("0/1 workers: {}", lacking.join(", ")))
        })
    }

    /// Forgets a lab.
    pub(crate) fn release(&self, uid: &str) {
        self.change(|state| state.set(uid, None));
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn set(&mut self, uid: &str, held: Option<Held>) {
        let before = match held {
            Some(held) => self.held.insert(uid.to_owned(), held),
            None => self.held.remove(uid),
        };
        if let Some(before) = before {
            self.cpu = self.cpu.minus(before.resources.cpu);
            self.memory = self.memory.minus(before.resources.memory);
            self.provisioning -= usize::from(before.provisioning);
        }
        if let Some(held) = held {
            self.cpu = self.cpu.plus(held.resources.cpu);
            self.memory = self.memory.plus(held.resources.memory);
            self.provisioning += usize::from(held.provisioning);
        }
    }
}

const fn holds(state: LabState) -> bool {
    matches!(state, LabState::Provisioning | LabState::Ready | LabState::Deleting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn capacity(cpu: u64, labs: usize) -> Capacity {
        Capacity { cpu: Quantity::from_units(cpu), labs, ..Capacity::default() }
    }

    #[test]
    fn what_does_not_fit_is_refused_in_words() {
        let accounts = Accounts::default();
        let one = Resources::default();
        assert_eq!(accounts.reserve("a", one, &capacity(1, 9), 9), Ok(()));
        assert_eq!(accounts.reserve("a", one, &capacity(1, 9), 9), Ok(()), "the same lab again holds it once");
        assert_eq!(
            accounts.reserve("b", one, &capacity(1, 1), 9),
            Err("0/1 workers: 1 insufficient cpu, 1 too many labs".into())
        );
        assert!(accounts.reserve("b", one, &capacity(9, 9), 1).unwrap_err().contains("1 labs are being brought up"));
        accounts.release("a");
        assert_eq!(accounts.reserve("b", one, &capacity(1, 1), 1), Ok(()));
    }

    proptest! {
        #[test]
        fn lesson_57_the_sums_are_always_those_of_the_holders(steps in prop::collection::vec((0..5_u8, any::<bool>()), 1..80)) {
            let accounts = Accounts::default();
            for (lab, reserve) in steps {
                let uid = lab.to_string();
                if reserve {
                    let _ = accounts.reserve(&uid, Resources::default(), &capacity(3, 4), 2);
                } else {
                    accounts.release(&uid);
                }
                accounts.change(|state| {
                    assert_eq!(state.cpu, Quantity::from_units(state.held.len() as u64));
                    assert!(state.held.len() <= 2 && state.provisioning == state.held.len());
                });
            }
        }
    }
}
