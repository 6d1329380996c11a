//! The three services as separate processes, two of each, behind nginx. To a client they are one
//! service.

use super::{
    api_async, api_auth, api_conditions, api_errors, api_idempotency, api_input, api_search, api_users,
    reference_page, tenants,
};
use serde_json::json;
use std::{fs, process::Command};
use tests::{Deployment, Process, RedisServer, Service, Stack, free_port, scratch, until, workspace};

const MIB: usize = 1024 * 1024;

/// nginx with the committed configuration, before all instances of a deployment.
async fn nginx(deployment: &Deployment) -> (Process, String) {
    let (dir, listen) = (scratch("nginx"), format!("127.0.0.1:{}", free_port()));
    let site = fs::read_to_string(workspace().join("deploy/nginx.conf.template")).unwrap();
    let site = upstream(&site, "QUERY_UPSTREAM", &deployment.urls(Service::Query));
    let site = upstream(&site, "COMMAND_UPSTREAM", &deployment.urls(Service::Command));
    let site = site.replace("${LISTEN}", &listen);
    // One process, so that none can be left over.
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

/// The configuration, with one upstream line for each instance.
fn upstream(site: &str, name: &str, urls: &[String]) -> String {
    let place = format!("${{{name}}}");
    let line = site.lines().find(|line| line.contains(&place)).unwrap();
    let lines = urls.iter().map(|url| line.replace(&place, url.trim_start_matches("http://")));
    site.replace(line, &lines.collect::<Vec<_>>().join("\n"))
}

/// Runs tests one after the other.
macro_rules! pass {
    ($front:ident, $($module:ident: $($test:ident),+;)+) => { $($(Box::pin($module::$test($front)).await;)+)+ };
}

pub async fn behind_nginx_they_are_one_service(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start_many(stack, &redis.url(), 2, &[]).await;
    let (_nginx, url) = nginx(&deployment).await;
    let front: &'static Stack = Box::leak(Box::new(stack.behind(&url)));
    users_are_kept(front).await;
    bad_requests_are_refused(front).await;
    what_nginx_reads_and_refuses(front).await;
}

/// The tests of the API that only need its address: those about users.
async fn users_are_kept(front: &'static Stack) {
    pass! { front,
        api_users:
            a_created_user_reads_back,
            an_empty_user_is_a_user,
            an_update_replaces_the_claims_and_keeps_the_link,
            a_given_link_replaces_the_old_one_as_a_whole,
            the_body_of_a_get_can_be_put,
            a_deleted_user_is_gone,
            an_unknown_user_is_404_but_has_no_credentials,
            pages_show_every_user_once_and_in_order,
            a_full_last_page_ends_the_list,
            cursors_of_a_page_are_accepted,
            a_cursor_outlives_its_user,
            both_prefixes_are_the_same_service,
            numbers_and_texts_come_back_as_sent;
        api_conditions:
            if_none_match_spares_the_body,
            if_match_guards_an_update,
            if_match_guards_a_delete,
            if_match_on_a_user_that_is_gone_is_404,
            an_unquoted_tag_is_400,
            one_of_many_conditional_updates_wins,
            unconditional_updates_are_never_lost;
        api_async:
            a_write_that_does_not_wait_is_readable_after_its_position,
            every_read_takes_read_after,
            a_malformed_position_is_400,
            a_position_that_is_not_reached_in_time_is_503,
            a_visible_write_is_in_every_read;
        api_idempotency:
            a_repeat_gives_the_first_user,
            a_repeat_shows_the_user_as_it_is_now,
            another_body_is_422,
            a_repeat_after_a_delete_is_409,
            keys_are_of_a_tenant,
            repeats_at_once_make_one_user;
        api_search:
            claims_are_matched_by_containment,
            numbers_are_compared_by_value,
            texts_are_matched_exactly,
            the_link_is_matched_by_any_of_its_parts,
            a_long_link_is_found,
            found_users_come_in_pages,
            only_current_values_are_found;
        tenants:
            another_tenants_user_is_404,
            lists_and_searches_stay_within_the_tenant,
            another_tenants_cursor_is_only_a_time,
            another_tenants_position_shows_nothing,
            an_id_in_a_body_stays_within_the_tenant;
        reference_page:
            head_is_answered_wherever_get_is;
    }
}

/// And those about rejected requests that nginx can parse.
async fn bad_requests_are_refused(front: &'static Stack) {
    pass! { front,
        api_errors:
            a_limit_is_a_plain_integer,
            a_cursor_must_decode_and_be_whole,
            unknown_paths_are_404,
            a_known_path_with_another_method_is_405,
            other_content_types_are_415,
            checks_come_in_their_order,
            request_ids_are_accepted_or_created_and_echoed,
            hostile_requests_are_refused_and_nothing_breaks;
        api_input:
            a_body_is_json,
            a_body_is_an_object_of_the_right_shape,
            errors_name_the_place_and_never_the_value,
            claims_have_limits_of_depth_number_and_name,
            a_body_has_a_largest_size,
            a_representation_has_a_largest_size,
            a_page_of_huge_users_is_cut;
        api_auth:
            without_a_token_nothing_is_answered,
            only_a_valid_token_is_accepted,
            other_schemes_are_not_bearer,
            a_scope_allows_only_its_operations;
    }
}

async fn what_nginx_reads_and_refuses(front: &Stack) {
    let api = front.tenant();
    for size in [MIB + 1, 2 * MIB, 16 * MIB] {
        let huge = api.create(json!({ "claims": { "x": "x".repeat(size) } }));
        let refused = huge.header("X-Request-Id", "mine").await.expect(413);
        assert_eq!(refused.json()["code"], "PayloadTooLarge");
        assert_eq!(refused.header("x-request-id"), "mine");
        api.create(json!({})).await.expect(201);
    }
    for unreadable in ["%00", "%"] {
        // nginx did not read the headers, so it made the request id.
        let refused = api.get(unreadable).await.expect(400);
        assert_eq!(refused.json()["code"], "BadRequest");
    }
    // An encoded slash is no separator: either service rejects the id.
    let update = api.update("a%2Fb", json!({ "claims": {} }));
    for service in [api.get("a%2Fb"), update, api.delete("a%2Fb?x=1")] {
        assert_eq!(service.await.expect(400).detail()["param"], "id");
    }
}
