//! At level 3 analytic events say everything, so a delete leaves something behind for as long as their topic keeps them.

use super::bench::{Bench, has, marker};
use tests::{Stack, until};

pub async fn what_level_3_says_is_left(stack: &'static Stack) {
    let bench = Bench::start(stack, &[("ROLLCALL_ANALYTICS_LEVEL", "3")]).await;
    let marker = marker();
    let id = bench.user(&marker).await;
    bench.api.delete(&id).await.expect(204);
    // START of the create, which does not name the user, and of the update.
    until("both STARTs are found", async || {
        let proof = bench.proof(&id, 1);
        assert_eq!(proof["verdict"], "left");
        (proof["analytics"]["sayingMore"].as_u64() >= Some(2)).then_some(())
    })
    .await;
    assert!(has(&bench.audit(1), "analyticEvents"));
    let said = bench.prove(&id).expect(1);
    assert!(said.stdout.contains("analytic events that say more than ids"), "{said:?}");
    assert!(!format!("{said:?}").contains(&marker), "{said:?}");
}
