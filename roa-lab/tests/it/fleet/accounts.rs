//! The sweep compares each worker's account with its labs.

use roa_lab::{Account, LabInstance, LabWorker, Quantity};

use super::world::{Fleet, NAMESPACE};

async fn with_labs() -> Fleet {
    let fleet = Fleet::new().await;
    fleet.ready_worker("w", 4).await;
    fleet.lab("a").await;
    fleet.lab("b").await;
    fleet.settle().await;
    fleet
}

async fn set_account(fleet: &Fleet, account: Account) {
    let change = |worker: &mut roa_lab::Worker| worker.status.set_account(account, worker.spec.capacity());
    fleet.api::<LabWorker>().patch_status(NAMESPACE, "w", change).await.unwrap();
}

#[tokio::test]
async fn an_account_that_is_right_is_left_alone() {
    let fleet = with_labs().await;
    assert!(fleet.found().await.is_empty());
    assert_eq!(fleet.get_worker("w").await.status.allocated.labs, 2);
}

#[tokio::test]
async fn an_account_that_is_wrong_is_corrected_with_an_event_that_says_what_was_found() {
    let fleet = with_labs().await;
    for wrong in [
        Account::default(),
        Account { cpu: Quantity::whole(4), memory: Quantity::mebi(4096), labs: 4 },
        Account { labs: 2, ..Account::default() },
    ] {
        set_account(&fleet, wrong).await;
        assert_eq!(fleet.found().await, [("w".to_owned(), "AccountWrong")]);
        fleet.check_accounts().await;
        assert!(fleet.found().await.is_empty(), "once is enough");
    }
    let expected = "says that 2 labs hold 0 cpu and 0 memory; 2 hold 2 and 2Gi";
    assert_eq!(fleet.message("AccountWrong"), expected);
}

#[tokio::test]
async fn a_lab_that_was_taken_away_by_force_leaves_an_account_that_is_corrected() {
    let fleet = with_labs().await;
    fleet.api::<LabInstance>().patch(NAMESPACE, "a", |lab| lab.metadata.finalizers.clear()).await.unwrap();
    fleet.delete::<LabInstance>("a").await;
    assert!(fleet.find::<LabInstance>("a").await.is_none());
    assert_eq!(fleet.found().await, [("w".to_owned(), "AccountWrong")]);
    assert_eq!(fleet.get_worker("w").await.status.allocated.labs, 1);
}
