"""The servers of a world promise what the real ones do: the contract's own tests, on memory."""
# ruff: noqa: F401 -- what is imported here is run here

import pytest

from roost.testing.servers import MemoryCache, MemoryStore
from tests.contract.test_accounts import (
    test_a_device_keeps_the_signing_key_that_it_named,
    test_a_floor_only_rises_and_needs_its_device,
    test_a_password_hash_is_replaced_only_if_it_is_still_the_one,
    test_account_comes_back_as_it_was_added,
    test_blocks,
    test_devices,
    test_ended_but_one,
    test_ended_session_cannot_be_rotated,
    test_of_concurrent_rotations_one_wins,
    test_profile,
    test_repeats_in_a_row_are_counted,
    test_scopes,
    test_signed_out_devices,
    test_username_is_given_once,
)
from tests.contract.test_cache import (
    test_a_challenge_is_taken_once,
    test_answers_come_back,
    test_limiter_lets_through_exactly_the_burst,
    test_messages_published_after_connecting_arrive,
    test_snapshot_is_given_out_once,
    test_the_greatest_id_of_a_device_only_rises,
    test_wakeup_is_pending_once,
)
from tests.contract.test_erasures_and_retention import (
    test_asking_again_only_brings_it_forward,
    test_users_are_walked_in_the_order_of_their_names,
)
from tests.contract.test_keys_and_cluster import (
    test_a_fallback_key_that_was_given_out_is_used_until_another_one_comes,
    test_a_signature_is_stored_under_the_devices_that_there_are,
    test_an_upload_repeated_after_a_claim_restores_no_key,
    test_device_keys_are_uploaded_once,
    test_each_one_time_key_is_given_out_once,
    test_fallback_key_is_given_again_and_replaced,
    test_key_id_with_other_bytes_is_refused_whole,
    test_map_versions_follow_each_other,
    test_one_time_keys_go_in_the_order_of_their_upload,
)
from tests.contract.test_mailboxes import (
    test_bounds,
    test_cursors_never_fall,
    test_entry_comes_back_as_it_was_inserted,
    test_history_has_both_sides_and_control_messages_are_not_counted,
    test_questions_about_senders,
    test_receipts_after,
    test_replay_changes_nothing,
    test_stubs,
    test_sweep,
    test_the_end_of_a_mailbox_starts_after_what_was_swept,
    test_watermarks_never_fall,
)
from tests.contract.test_push_tokens import (
    devices,
    test_a_token_is_dropped_only_if_it_is_still_that_one,
    test_an_endpoint_belongs_to_one_device_whatever_its_keys,
    test_each_registration_of_a_device_is_later_than_the_one_before,
    test_it_ends_with_its_session_and_with_no_other,
    test_keys_of_an_endpoint_are_replaced_and_go_with_it,
    test_of_many_at_once_one_has_it,
    test_who_registers_a_token_last_has_it,
)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache(lambda: 1_800_000_000_000)
