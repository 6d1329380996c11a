//! The three services as processes of their own behind nginx: one service to whoever calls it.

use super::{
    api_async, api_auth, api_conditions, api_errors, api_idempotency, api_input, api_search, api_users,
};
use std::{fs, process::Command};
use tests::{Deployment, Process, RedisServer, Service, Stack, free_port, scratch, until, workspace};

/// nginx with the committed configuration in front of a deployment.
async fn nginx(deployment: &Deployment) -> (Process, String) {
    let (dir, listen) = (scratch("nginx"), format!("127.0.0.1:{}", free_port()));
    let authority = |service| deployment.url(service).trim_start_matches("http://").to_owned();
    let site = fs::read_to_string(workspace().join("deploy/nginx.conf.template")).unwrap();
    let site = site
        .replace("${LISTEN}", &listen)
        .replace("${QUERY_UPSTREAM}", &authority(Service::Query))
        .replace("${COMMAND_UPSTREAM}", &authority(Service::Command));
    // One process, so that nothing can be left over.
    let main = format!(
        "daemon off; master_process off; pid {0}/pid; error_log stderr; events {{}}\nhttp {{\n{site}}}\n",
        dir.display()
    );
    fs::write(dir.join("nginx.conf"), main).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&dir).arg("-c").arg(dir.join("nginx.conf"));
    let process = Process::start(&command, &dir.join("nginx.log"));
    let url = format!("http://{listen}");
    until("nginx answers", async || reqwest::get(format!("{url}/health/live")).await.ok()).await;
    (process, url)
}

pub async fn behind_nginx_they_are_one_service(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (_nginx, url) = nginx(&deployment).await;
    let front: &'static Stack = Box::leak(Box::new(stack.behind(&url)));

    api_users::a_created_user_reads_back(front).await;
    api_users::an_update_replaces_the_claims_and_keeps_the_link(front).await;
    api_users::a_deleted_user_is_gone(front).await;
    api_users::pages_show_every_user_once_and_in_order(front).await;
    api_users::both_prefixes_are_the_same_service(front).await;
    api_conditions::if_none_match_spares_the_body(front).await;
    api_conditions::if_match_guards_an_update(front).await;
    api_async::a_write_that_does_not_wait_is_readable_after_its_position(front).await;
    api_async::a_waited_for_write_is_in_every_read(front).await;
    api_idempotency::a_repeat_gives_the_first_user(front).await;
    api_search::claims_are_matched_by_containment(front).await;
    api_auth::without_a_token_nothing_is_answered(front).await;
    api_auth::a_scope_allows_its_own_operations_alone(front).await;
    api_input::a_body_has_a_largest_size(front).await;
    api_errors::unknown_paths_are_404(front).await;
    api_errors::a_known_path_with_another_method_is_405(front).await;
    api_errors::checks_come_in_their_order(front).await;
    api_errors::request_ids_are_taken_or_made_and_echoed(front).await;
    api_errors::hostile_requests_are_refused_and_nothing_breaks(front).await;
}
