//! The tests, one idea per file. Each uses its own tenant or deployment, so they run in parallel.

mod analytics;
mod analytics_levels;
mod apart;
mod api_async;
mod api_auth;
mod api_conditions;
mod api_errors;
mod api_idempotency;
mod api_input;
mod api_reference;
mod api_search;
mod api_users;
mod architecture;
mod chaos;
mod crash;
mod environment;
mod erasure;
mod erasure_verbs;
mod fates;
mod halts;
mod health;
mod hot_user;
mod inconsistent;
mod instances;
mod keys;
mod log_cut;
mod log_format;
mod log_identity;
mod operator;
mod operator_io;
mod outages;
mod partitions;
mod plans;
mod poison;
mod read_only;
mod rebuild;
mod redis_faults;
mod replaced_log;
mod restored;
mod set_aside;
mod supervision;
mod tenants;
mod topic_settings;
mod transactions;
mod twice;
mod upgrade;
mod watch;

use libtest_mimic::Trial;
use tests::Stack;

/// Lists the tests as `module::name`. Those after `with` use the shared stack, and those after
/// `without` need none. Those after `long` need the machine for themselves: they are `--ignored`,
/// and `make suite` runs them after the others.
macro_rules! suite {
    (with { $($module:ident: $($test:ident),+;)+ } without { $($alone:ident: $($own:ident),+;)+ } long { $($long:ident: $($slow:ident),+;)+ }) => {
        /// All tests.
        pub fn trials() -> Vec<Trial> {
            vec![
                $($(trial(name!($module, $test), async || $module::$test(Stack::shared()).await),)+)+
                $($(trial(name!($alone, $own), $alone::$own),)+)+
                $($(trial(name!($long, $slow), $long::$slow).with_ignored_flag(true),)+)+
            ]
        }
    };
}

macro_rules! name {
    ($module:ident, $test:ident) => {
        concat!(stringify!($module), "::", stringify!($test))
    };
}

suite! {
    with {
        api_users:
            a_created_user_reads_back,
            an_empty_user_is_a_user,
            an_update_replaces_the_claims_and_keeps_the_link,
            a_given_link_replaces_the_old_one_as_a_whole,
            what_get_gave_can_be_put_back,
            a_deleted_user_is_gone,
            an_unknown_user_is_404_but_has_no_credentials,
            pages_show_every_user_once_and_in_order,
            a_full_last_page_ends_the_list,
            the_page_s_own_cursors_are_accepted,
            a_cursor_outlives_its_user,
            both_prefixes_are_the_same_service,
            numbers_and_texts_come_back_as_sent;
        api_conditions:
            if_none_match_spares_the_body,
            if_match_guards_an_update,
            if_match_guards_a_delete,
            if_match_on_a_user_that_is_gone_is_404,
            an_unquoted_tag_is_400,
            if_none_match_guards_a_write,
            if_match_guards_a_read,
            updates_of_any_version_never_fail_for_one_another,
            of_many_guarded_updates_one_wins,
            unguarded_updates_never_lose_one_another;
        api_async:
            a_write_that_does_not_wait_is_readable_after_its_position,
            every_read_takes_read_after,
            a_malformed_position_is_400,
            a_position_that_is_not_reached_in_time_is_503,
            a_waited_for_write_is_in_every_read;
        api_idempotency:
            a_repeat_gives_the_first_user,
            a_repeat_shows_the_user_as_it_is_now,
            another_body_is_422,
            once_deleted_it_is_409,
            keys_are_of_a_tenant,
            repeats_at_once_make_one_user;
        api_search:
            claims_are_matched_by_containment,
            numbers_are_compared_by_value,
            texts_are_matched_exactly,
            the_link_is_matched_by_any_of_its_parts,
            a_long_link_is_found,
            found_users_come_in_pages,
            changes_are_found_and_what_was_before_is_not,
            search_agrees_with_postgres;
        api_errors:
            a_limit_is_a_plain_integer,
            a_cursor_must_decode_and_be_whole,
            an_id_in_the_path_is_a_uuid,
            unknown_paths_are_404,
            a_known_path_with_another_method_is_405,
            other_content_types_are_415,
            checks_come_in_their_order,
            request_ids_are_taken_or_made_and_echoed,
            hostile_requests_are_refused_and_nothing_breaks;
        api_input:
            a_body_is_json,
            a_body_is_an_object_of_the_right_shape,
            refusals_name_the_place_and_never_the_value,
            claims_have_limits_of_depth_number_and_name,
            a_body_has_a_largest_size,
            a_user_has_a_largest_size_as_it_is_printed,
            a_page_of_huge_users_is_cut;
        api_auth:
            without_a_token_nothing_is_answered,
            only_a_good_token_is_believed,
            other_schemes_are_not_bearer,
            a_scope_allows_its_own_operations_alone,
            a_token_of_the_operators_program_says_what_was_asked,
            health_and_documents_need_no_token;
        tenants:
            their_user_is_404_to_us,
            lists_and_searches_stay_at_home,
            their_cursor_is_only_a_place_in_time,
            their_position_shows_nothing_of_theirs,
            one_id_may_live_in_two_tenants,
            a_bodys_id_does_not_reach_over;
        log_format:
            a_life_in_the_log,
            the_partition_is_that_of_the_java_clients,
            the_client_is_named_where_the_token_names_one,
            a_foreign_client_reads_the_same_users,
            the_rule_of_the_log_gives_the_users_of_the_api;
        analytics:
            reads_say_what_was_asked_and_how_much_came,
            a_search_names_its_paths_and_no_values,
            a_writes_success_comes_from_the_log,
            a_repeated_post_ends_too,
            a_refused_request_fails_with_fixed_words,
            every_refusal_is_a_fail,
            nothing_of_the_person_is_in_the_topic,
            no_event_without_authentication_or_by_an_import,
            each_request_ends_exactly_once;
        analytics_levels:
            level_1_says_that_and_when_alone,
            level_3_says_everything;
        operator:
            env_says_where_everything_is,
            a_token_stands_alone_on_stdout,
            wrong_usage_is_2,
            a_bad_setting_is_refused_by_name,
            postgres_that_is_away_is_named,
            migrate_may_run_again,
            a_file_of_users_goes_in_once,
            a_bad_line_stops_nothing,
            credentials_go_in_and_are_listed,
            the_log_can_be_watched,
            a_taken_port_stops_the_start,
            a_second_start_in_the_same_home_is_refused;
        operator_io:
            a_byte_order_mark_is_named,
            utf_16_is_named_and_nothing_goes_in,
            who_reads_no_further_is_no_error,
            an_error_is_said_once;
        environment:
            an_env_file_that_cant_be_read_is_named,
            a_role_without_create_is_told_the_grant,
            a_pooler_is_named;
        plans:
            an_import_looks_up_by_key_in_tables_that_were_never_analyzed;
        apart:
            behind_nginx_they_are_one_service;
        instances:
            progress_comes_from_whichever_projector,
            a_frozen_projector_comes_back_to_a_closed_fence,
            projectors_come_and_go_under_load;
        keys:
            a_master_key_in_vault_does_what_one_in_a_file_does,
            without_vault_reads_go_on_and_writes_are_refused,
            what_is_wrong_with_vault_is_said,
            a_key_goes_with_its_user_in_another_database,
            deletes_go_on_without_the_key_store,
            a_crash_between_a_delete_and_its_key_is_made_good,
            writers_go_on_while_the_master_key_is_rotated,
            a_rotation_that_is_cut_off_is_made_good,
            one_rotation_at_a_time,
            a_master_key_from_before_a_rotation_wraps_nothing,
            without_the_right_master_key_nothing_starts,
            an_empty_key_store_takes_no_others_place,
            a_key_store_that_is_left_behind_is_found,
            keys_that_nobody_needs_are_swept,
            a_log_made_anew_costs_no_key,
            a_former_log_that_comes_back_is_read_again,
            a_key_store_belongs_to_one_deployment,
            keys_that_say_nothing_are_undecided,
            a_token_is_renewed_and_read_again,
            a_redis_that_is_away_keeps_no_key_alive,
            a_delete_reaches_every_cache,
            a_frozen_cache_is_waited_out,
            a_process_that_leaves_stops_no_delete;
        rebuild:
            a_lost_read_model_comes_back_from_the_log,
            a_rebuild_under_load_gives_the_same_rows;
        log_identity:
            a_log_made_anew_is_told_apart,
            a_new_log_that_is_longer_is_told_apart;
        fates:
            a_parked_write_that_an_operator_lets_through_is_not_void;
        inconsistent:
            a_broken_table_sets_no_sound_event_aside;
        read_only:
            writes_go_on_by_themselves_after_a_failover;
        replaced_log:
            nothing_is_appended_before_an_operator_has_acted,
            what_was_appended_unawares_may_still_take_effect;
        api_reference:
            errors_have_the_documented_texts,
            a_cursor_that_lacks_a_part_has_the_documented_text;
        partitions:
            more_partitions_are_refused_and_a_copy_brings_everything_back,
            a_rebuild_that_sets_more_aside_is_not_promoted;
        log_cut:
            a_cut_log_is_named_by_everything_that_reads_it,
            a_cut_past_what_is_folded_is_accepted_with_its_number;
        topic_settings:
            a_setting_that_changes_is_named_and_a_start_refused;
        upgrade:
            a_database_of_an_earlier_release_keeps_every_row;
        transactions:
            control_records_are_no_lag,
            an_open_transaction_is_shown;
        set_aside:
            what_waits_for_an_operator_is_counted,
            each_partitions_owner_is_named;
        halts:
            a_pause_is_true_when_it_is_answered,
            a_killed_rebuild_is_shown_as_abandoned,
            a_default_log_says_nothing_twice_and_nothing_of_no_use;
        outages:
            everything_goes_on_without_redis,
            nothing_hangs_whatever_happens_to_postgres,
            a_full_pool_is_503,
            a_lost_listener_comes_back,
            services_may_start_before_their_servers;
        health:
            many_callers_cost_no_write,
            a_read_only_database_is_not_ready_for_writes,
            a_redis_that_takes_no_writes_is_named;
        restored:
            a_restored_database_shows_no_deleted_user,
            a_database_that_is_restored_under_running_services,
            a_projector_that_restarts_stops_no_read;
        poison:
            every_kind_of_poison_parks_its_user_alone,
            a_fixed_build_folds_what_waits_in_its_order,
            poison_about_credentials_harms_nobody,
            a_delete_takes_every_dead_letter_of_its_user_along,
            what_lies_elsewhere_is_not_kept_beside_a_deletion_under_way,
            many_are_discarded_at_once,
            reasons_that_were_texts_become_codes,
            too_many_parked_stop_the_projectors,
            an_operator_pauses_and_resumes;
        erasure_verbs:
            a_life_is_proved_at_each_of_its_ends,
            what_cannot_be_read_is_dealt_with_by_an_operator,
            whatever_is_left_is_found,
            what_level_3_says_is_left,
            all_that_is_kept_is_exported,
            an_export_goes_into_a_new_file;
        redis_faults:
            no_read_is_stale_whatever_happens_to_redis;
        crash:
            no_acknowledged_write_is_lost;
        erasure:
            a_missing_key_is_loud,
            a_restored_key_brings_nobody_back,
            a_delete_is_whole_wherever_the_projector_dies,
            a_delete_reaches_a_generation_that_is_being_built,
            nothing_that_is_deleted_can_be_read_again;
        twice:
            what_is_derived_again_is_not_written_again;
        hot_user:
            writers_of_one_instance_take_turns,
            async_writers_take_turns_too,
            a_repeated_key_at_once_costs_one_event,
            writers_of_two_instances_all_get_through;
    }
    without {
        architecture:
            crates_depend_on_what_the_table_allows,
            the_kit_knows_no_user,
            deciding_and_folding_are_pure,
            queries_only_read,
            the_read_model_has_one_owner,
            modules_form_no_circle,
            a_main_is_small,
            no_log_line_names_a_person,
            each_mutant_still_applies;
        halts:
            a_service_says_how_it_is_used_without_settings;
        erasure:
            a_marker_is_found_nowhere_after_a_delete;
        supervision:
            children_come_back_and_die_with_their_parent;
        environment:
            a_foreign_shell_and_an_odd_home_change_nothing,
            where_nothing_runs_every_verb_says_so,
            a_token_is_of_a_service_that_is_there;
        twice:
            a_frozen_broker_with_a_batch_in_its_hands_takes_it_once;
    }
    long {
        outages:
            a_stack_heals_by_itself;
        chaos:
            every_window_is_hit_and_nothing_is_lost;
    }
}

fn trial(name: &'static str, test: impl AsyncFnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(test());
        Ok(())
    })
}
