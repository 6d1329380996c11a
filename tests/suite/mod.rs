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
mod cache_walk;
mod chaos;
mod consumers;
mod contracts;
mod cors;
mod crash;
mod disasters;
mod environment;
mod erasure;
mod erasure_verbs;
mod fates;
mod generations;
mod given_up;
mod golden;
mod halts;
mod health;
mod hot_user;
mod inconsistent;
mod index_entries;
mod instances;
mod interrupted_verbs;
mod keys;
mod killed_verbs;
mod log_cut;
mod log_format;
mod log_identity;
mod operator;
mod operator_io;
mod outages;
mod panics;
mod partitions;
mod plans;
mod poison;
mod postings;
mod projections;
mod read_only;
mod rebuild;
mod redis_faults;
mod reference_page;
mod repair;
mod replaced_log;
mod replay;
mod restored;
mod set_aside;
mod supervision;
mod tenants;
mod topic_settings;
mod transactions;
mod twice;
mod upcasting;
mod upgrade;
mod watch;

use libtest_mimic::Trial;
use tests::{Stack, timed};

/// Lists the tests as `module::name`. Those after `with` use the shared stack, and the modules with
/// the longest tests come first, so that no core is idle at the end. Those after `without` need no
/// stack, and start before. Those after `long` have stacks of their own: they are `--ignored`,
/// and `make suite` runs them after the others.
macro_rules! suite {
    (with { $($module:ident: $($test:ident),+;)+ } without { $($alone:ident: $($own:ident),+;)+ } long { $($long:ident: $($slow:ident),+;)+ }) => {
        /// All tests. `replay` takes too long for every run.
        pub fn trials() -> Vec<Trial> {
            if std::env::var_os(replay::EVENTS).is_some() {
                return vec![trial(name!(replay, generations_go_round_under_load), replay::generations_go_round_under_load)];
            }
            vec![
                $($(trial(name!($alone, $own), $alone::$own),)+)+
                $($(trial(name!($module, $test), async || $module::$test(Stack::shared()).await),)+)+
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
        erasure:
            a_missing_key_is_reported,
            a_restored_key_brings_nobody_back,
            a_delete_is_complete_wherever_the_projector_dies,
            a_delete_reaches_a_generation_that_is_being_built,
            no_deleted_data_can_be_read_in_postgres;
        erasure_verbs:
            a_user_is_proved_before_and_after_each_change,
            an_operator_deals_with_unreadable_records,
            everything_left_is_found,
            level_3_leaves_personal_data,
            everything_stored_is_exported,
            an_export_goes_into_a_new_file;
        instances:
            positions_come_from_any_projector,
            a_frozen_projector_does_not_keep_its_locks,
            a_frozen_projector_is_fenced_off,
            projectors_come_and_go_under_load;
        projections:
            statistics_count_what_the_log_says,
            a_killed_projector_counts_nothing_twice,
            a_reprocessed_event_is_counted,
            a_rebuild_of_a_projection_under_load,
            a_killed_rebuild_of_a_projection_is_resumed,
            a_comparison_of_a_projection_names_columns,
            a_projection_is_asked_by_its_name,
            a_projection_of_another_fold_is_replaced,
            a_projection_of_a_recreated_log_is_rebuilt,
            a_deletion_erases_in_every_generation,
            what_is_left_in_a_personal_table_is_found,
            a_broken_projection_holds_nobody_back,
            a_paused_projection_stands_still_alone;
        apart:
            behind_nginx_they_are_one_service;
        crash:
            no_acknowledged_write_is_lost;
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
            if_none_match_guards_a_write,
            if_match_guards_a_read,
            updates_of_any_version_never_conflict,
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
            only_current_values_are_found,
            search_agrees_with_postgres;
        api_errors:
            a_limit_is_a_plain_integer,
            a_cursor_must_decode_and_be_whole,
            an_id_in_the_path_is_a_uuid,
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
            everything_that_is_wrong_is_named_at_once,
            claims_have_limits_of_depth_number_and_name,
            a_body_has_a_largest_size,
            a_representation_has_a_largest_size,
            a_page_of_huge_users_is_cut;
        api_auth:
            without_a_token_nothing_is_answered,
            only_a_valid_token_is_accepted,
            other_schemes_are_not_bearer,
            a_scope_allows_only_its_operations,
            a_token_of_rollcall_has_the_requested_claims,
            health_and_documents_need_no_token;
        tenants:
            another_tenants_user_is_404,
            lists_and_searches_stay_within_the_tenant,
            another_tenants_cursor_is_only_a_time,
            another_tenants_position_shows_nothing,
            two_tenants_may_have_the_same_id,
            an_id_in_a_body_stays_within_the_tenant,
            the_log_line_of_a_request_names_its_tenant;
        log_format:
            the_events_of_one_user,
            partitions_are_those_of_the_java_client,
            the_client_is_named_where_the_token_names_one,
            a_foreign_client_reads_the_same_users,
            the_rule_of_the_log_gives_the_users_of_the_api;
        analytics:
            reads_record_the_request_and_the_count,
            a_search_names_its_paths_and_no_values,
            a_writes_success_comes_from_the_log,
            a_repeated_post_has_an_end,
            a_refused_request_fails_with_fixed_words,
            every_rejection_is_a_fail,
            no_personal_data_is_in_the_topic,
            no_event_without_authentication_or_by_an_import,
            each_request_ends_exactly_once;
        consumers:
            consumers_count_what_the_log_says;
        reference_page:
            the_page_works_in_a_browser,
            head_is_answered_wherever_get_is;
        analytics_levels:
            level_1_has_no_data,
            level_3_has_all_data;
        contracts:
            foreign_validators_find_nothing_but_mutations,
            events_match_the_schemas_they_name,
            a_typescript_client_uses_every_operation,
            a_python_client_uses_every_operation,
            a_java_client_uses_every_operation,
            a_fuzzer_gets_only_described_answers;
        cors:
            only_allowed_origins_may_call,
            without_the_setting_no_origin_may_call;
        operator:
            env_prints_all_addresses,
            a_token_is_alone_on_stdout,
            wrong_usage_is_2,
            a_bad_setting_is_rejected_by_name,
            unreachable_postgres_is_named,
            migrate_can_run_again,
            a_file_of_users_is_imported_once,
            a_bad_line_stops_nothing,
            credentials_are_imported_and_listed,
            the_log_can_be_watched,
            a_taken_port_stops_the_start,
            a_second_start_in_the_same_home_is_refused;
        operator_io:
            a_byte_order_mark_is_named,
            utf_16_is_named_and_nothing_is_imported,
            a_closed_stdout_is_no_error,
            an_error_is_printed_once;
        environment:
            an_unreadable_env_file_is_named,
            a_missing_right_is_named_with_its_grant,
            a_pooler_is_named;
        postings:
            a_search_looks_at_150_candidates_for_each_page,
            a_user_with_more_than_1000_terms_is_found,
            criteria_with_more_than_1000_terms_match_on_the_first_page,
            a_generation_of_an_earlier_release_is_searched_until_a_rebuild,
            another_secret_hides_nobody,
            searches_of_one_tenant_leave_the_others_alone;
        plans:
            a_search_has_one_plan_in_every_state_of_the_tables,
            writes_look_up_by_key_in_tables_that_were_never_analyzed;
        given_up:
            a_write_after_a_begin_that_was_given_up_is_kept,
            a_statement_after_a_copy_that_was_given_up_gets_its_own_answer;
        index_entries:
            updates_of_a_user_make_no_index_entries;
        keys:
            a_master_key_in_vault_works_like_one_in_a_file,
            without_vault_reads_go_on_and_writes_are_rejected,
            problems_of_vault_are_reported,
            a_key_in_another_database_is_destroyed_with_its_user,
            deletes_go_on_without_the_key_store,
            a_crash_between_a_delete_and_its_key_is_repaired,
            writers_go_on_while_the_master_key_is_rotated,
            an_interrupted_rotation_is_completed,
            one_rotation_at_a_time,
            a_master_key_from_before_a_rotation_wraps_nothing,
            nothing_starts_without_the_right_master_key,
            an_empty_key_store_replaces_no_other,
            an_empty_database_beside_a_full_log_is_refused,
            an_old_key_store_is_found,
            keys_that_nobody_needs_are_swept,
            a_recreated_log_destroys_no_key,
            a_restored_former_log_is_read_again,
            a_key_store_belongs_to_one_deployment,
            keys_without_an_origin_are_undecided,
            a_token_is_renewed_and_read_again,
            unreachable_redis_keeps_no_key_alive,
            a_delete_reaches_every_cache,
            a_frozen_cache_is_waited_out,
            a_stopping_process_blocks_no_delete;
        interrupted_verbs:
            a_rebuild_that_is_interrupted_can_be_resumed;
        generations:
            a_rebuilt_generation_has_the_tables_of_the_first,
            promotions_and_rollbacks_under_load_lose_nothing,
            a_comparison_names_what_differs,
            a_deletion_after_a_discard_reaches_those_that_follow,
            a_deletion_in_a_reprocessed_queue_reaches_those_that_follow,
            a_deletion_by_a_repair_reaches_those_that_follow,
            a_deletion_reaches_a_rebuild_that_sets_the_user_aside,
            what_a_dropped_generation_left_is_removed_at_a_start,
            a_killed_rebuild_is_resumed,
            a_deletion_erases_in_all_generations,
            a_deletion_goes_on_while_a_rebuild_makes_indexes,
            verbs_that_exclude_each_other_say_so,
            a_generation_of_another_release_is_refused_or_noted;
        repair:
            every_part_of_a_user_is_compared_and_repaired,
            a_cached_body_is_repaired,
            a_user_is_repaired_while_writes_go_on,
            a_deleted_user_gets_the_tombstone_and_no_data,
            an_unknown_user_differs_in_nothing,
            without_the_key_nothing_is_changed,
            the_beginning_is_found_although_the_row_is_wrong,
            a_parked_user_stays_parked_until_the_queue_can_be_folded,
            a_paused_projector_repairs_nothing_but_a_check_works;
        rebuild:
            a_lost_read_model_comes_back_from_the_log,
            a_rebuild_under_load_gives_the_same_rows;
        log_identity:
            a_recreated_log_is_detected,
            a_longer_recreated_log_is_detected;
        fates:
            a_parked_write_that_is_retried_takes_effect;
        inconsistent:
            inconsistent_tables_park_nobody,
            inconsistent_tables_stop_a_repair;
        panics:
            work_that_panics_starts_again;
        read_only:
            writes_recover_after_a_failover;
        replaced_log:
            nothing_is_appended_before_an_operator_acts,
            earlier_appends_may_still_take_effect;
        api_reference:
            errors_have_the_documented_texts,
            a_cursor_that_lacks_a_part_has_the_documented_text;
        partitions:
            more_partitions_are_rejected_and_repaired_by_a_copy,
            a_rebuild_that_sets_more_aside_is_not_promoted;
        log_cut:
            a_cut_log_is_named_by_everything_that_reads_it,
            a_cut_with_lost_records_is_accepted_with_their_number;
        topic_settings:
            a_bad_topic_setting_is_reported_and_stops_a_start;
        disasters:
            a_read_model_is_replaced,
            a_user_is_repaired,
            a_bad_build_parks_users,
            a_release_has_a_newer_fold,
            postgres_is_lost,
            redis_is_lost,
            the_key_store_is_older,
            the_log_is_recreated_and_comes_back,
            the_log_is_recreated_and_given_up,
            the_log_is_cut,
            the_log_is_older;
        golden:
            every_golden_log_folds_to_what_it_did;
        upcasting:
            a_log_with_two_versions_gives_the_same_digest;
        upgrade:
            a_database_of_an_earlier_release_keeps_every_row,
            a_verb_before_the_migration_says_what_to_run;
        transactions:
            control_records_are_no_lag,
            an_open_transaction_is_shown;
        set_aside:
            what_waits_for_an_operator_is_counted,
            the_owner_of_each_partition_is_shown;
        halts:
            a_pause_is_in_effect_when_it_is_answered,
            a_killed_rebuild_is_shown_as_abandoned,
            the_default_log_level_is_concise;
        outages:
            everything_goes_on_without_redis,
            nothing_hangs_whatever_happens_to_postgres,
            a_full_pool_is_503,
            a_lost_listener_reconnects,
            services_may_start_before_their_servers;
        health:
            many_health_checks_cost_no_write,
            a_read_only_database_is_not_ready_for_writes,
            a_read_only_redis_is_reported;
        restored:
            a_restored_database_shows_no_deleted_user,
            a_database_is_restored_under_running_services,
            a_projector_that_restarts_stops_no_read,
            the_documented_backup_has_every_schema;
        poison:
            every_kind_of_poison_parks_only_its_user,
            a_fixed_build_folds_the_queue_in_order,
            poison_about_credentials_harms_nobody,
            a_delete_removes_every_dead_letter_of_its_user,
            stray_records_are_not_kept_during_a_delete,
            many_are_discarded_at_once,
            reasons_stored_as_text_become_codes,
            too_many_parked_users_pause_the_projectors,
            an_operator_pauses_and_resumes;
        redis_faults:
            no_read_is_stale_whatever_happens_to_redis,
            a_malformed_value_is_replaced;
        cache_walk:
            a_lost_cache_is_written_in_the_order_of_keys,
            another_projector_goes_on_with_a_walk,
            a_redis_restored_within_a_walk_is_completed;
        twice:
            a_success_derived_twice_is_written_once,
            a_success_behind_an_open_transaction_is_written_once,
            a_foreign_header_does_not_end_the_derivation;
        hot_user:
            writers_of_one_instance_take_turns,
            async_writers_take_turns_too,
            concurrent_repeats_of_a_key_append_one_event,
            writers_of_two_instances_all_succeed;
    }
    without {
        architecture:
            crates_depend_on_what_the_table_allows,
            the_kit_does_not_know_users,
            deciding_and_folding_are_pure,
            a_projection_knows_nothing_but_its_events,
            queries_only_read,
            the_read_model_has_one_owner,
            modules_form_no_circle,
            a_main_is_small,
            no_log_line_contains_personal_data,
            each_mutant_still_applies,
            a_release_knows_no_version_of_the_tests;
        halts:
            a_service_prints_its_usage_without_settings;
        erasure:
            a_marker_is_found_nowhere_after_a_delete;
        supervision:
            children_come_back_and_die_with_their_parent;
        environment:
            foreign_variables_and_an_odd_home_change_nothing,
            every_verb_reports_that_nothing_runs,
            a_token_needs_an_existing_service;
        twice:
            a_frozen_broker_appends_a_batch_once;
    }
    long {
        outages:
            a_stack_recovers_by_itself;
        killed_verbs:
            verbs_are_killed_and_run_again;
        chaos:
            every_window_is_hit_and_nothing_is_lost;
    }
}

fn trial(name: &'static str, test: impl AsyncFnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        timed(name, || runtime.block_on(test()));
        Ok(())
    })
}
