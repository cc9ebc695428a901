# ruff: noqa: E501 - a table of lines as they stand elsewhere
"""Defects made on purpose, over the whole product: what is written otherwise, and which test must then fail.

Each is a line somebody could have written by mistake, or left out. `test_mutants.py` copies the sources aside, makes
the one change there, and demands that the test named beside it fails. A defect that no test notices is a test that is
missing: write that, then the row.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """In `file` (from the root of the repository), the text `old` is there once, and is written as `new`."""

    name: str
    file: str
    old: str
    new: str
    test: str
    """The node id of the test that must fail."""
    on: str = "sqlite"
    """The database on which it shows."""
    quick: bool = False
    """Whether it is among the ten of the short form: those whose tests take the least."""


UNIT = "core/rapport/records/unit.py"
READER = "core/rapport/records/reader.py"
LOG = "core/rapport/records/log.py"
SESSION = "core/rapport/records/session.py"
ENGINE = "core/rapport/db/engine.py"
JOBS = "core/rapport/jobs.py"
EVENTS = "core/rapport/events.py"
OUTBOUND = "core/rapport/outbound.py"
SCOPES = "core/rapport/access/scopes.py"
ACTORS = "core/rapport/access/actors.py"
ACCOUNTS = "core/rapport/access/service.py"
KEYS = "core/rapport/builtin/api/keys.py"
BODY = "core/rapport/builtin/api/body.py"
RESOURCE = "core/rapport/builtin/api/resource.py"
BULK = "core/rapport/builtin/api/bulk.py"
SENDING = "core/rapport/builtin/webhooks/sending.py"
INBOUND = "core/rapport/builtin/webhooks/inbound.py"
SIGNING = "core/rapport/builtin/webhooks/signing.py"
WRITERS = "core/rapport/builtin/exchange/writers.py"
UNDOING = "core/rapport/builtin/exchange/undoing.py"
OUTBOX = "core/rapport/interactions/sending.py"
GATE = "core/rapport/interactions/gate.py"
FILES = "core/rapport/files.py"
ARCHIVE = "cli/rapport_cli/archive.py"

MUTANTS: tuple[Mutant, ...] = (
    # Whose turn it is to write
    Mutant(
        "a turn is kept after a commit that the disk refused", ENGINE,
        "            self.rollback()  # SQLAlchemy takes it for done, and would leave the next writer waiting\n", "",
        "tests/faults/test_storage.py::test_on_a_full_disk_writes_are_refused_reading_goes_on_and_room_ends_it",
    ),
    # Whose rows one reaches
    Mutant(
        "reading one record forgets whose it is", READER,
        "if (scope := row_scope(entity, self.actor)) is not None:\n            statement = statement.where(scope)",
        "row_scope(entity, self.actor)",
        "tests/api/test_access.py::test_rows_out_of_reach_stay_hidden_through_every_door",
    ),
    Mutant(
        "a list forgets whose rows are whose", READER,
        "alone = self.actor.unlimited", "alone = True",
        "tests/api/test_access.py::test_rows_out_of_reach_stay_hidden_through_every_door",
    ),
    Mutant(
        "an object already loaded is handed out unasked", SESSION,
        "if not self.limited:\n            return super().get(entity, ident, **options)",
        "return super().get(entity, ident, **options)",
        "tests/records/test_guard.py::test_an_object_already_loaded_by_another_way_is_not_handed_out",
    ),
    Mutant(
        "bare tables are read past the scopes", SESSION, "        self._refuse_if_hidden(statement)\n", "",
        "tests/records/test_guard.py::test_what_cannot_be_scoped_is_refused",
    ),
    Mutant(
        "SQL text is let through", SESSION,
        "return literal or isinstance(element, TextClause)", "return literal",
        "tests/records/test_guard.py::test_what_cannot_be_scoped_is_refused",
    ),
    Mutant(
        "what is part of a hidden record is shown", SCOPES, "for parent in meta.parents:", "for parent in ():",
        "tests/records/test_guard.py::test_what_is_part_of_a_hidden_record_is_hidden_too",
    ),
    Mutant(
        "a team sees everybody's", SCOPES, "if meta.owned and reach != \"all\":", "if meta.owned and reach == \"own\":",
        "tests/records/test_guard.py::test_a_team_sees_its_own",
        quick=True,
    ),
    Mutant(
        "who may change some rows changes all", UNIT, "if scope is None:\n            return\n        entity = type(record)",
        "return\n        entity = type(record)",
        "tests/records/test_units.py::test_a_member_changes_their_own_and_not_anothers",
    ),
    Mutant(
        "what is out of reach takes the room of what is found", READER,
        "if all(scope is None for _entity, scope in scopes):", "if True:",
        "tests/security/test_oracles.py::test_a_search_is_not_filled_up_by_what_one_does_not_see",
    ),
    Mutant(
        "a reference may point at a hidden record", UNIT,
        "if self.session.scalar(select(target.id).where(target.id == value)) is None:", "if False:",
        "tests/records/test_units.py::test_a_reference_to_nothing_is_refused_like_one_to_a_hidden_record",
    ),
    Mutant(
        "a token does all that its user may", ACTORS,
        "if self.scopes is not None and not _covered(permission, self.scopes):", "if False:",
        "tests/api/test_access.py::test_a_token_does_no_more_than_its_scopes",
    ),
    Mutant(
        "an expired token opens the API", ACCOUNTS,
        "return None if row is None or (row.expires_at is not None and row.expires_at <= utcnow()) else row",
        "return row",
        "tests/api/test_access.py::test_an_expired_or_revoked_token_or_one_of_somebody_who_left_opens_nothing",
    ),
    Mutant(
        "roles are given by whoever has the grant", ACTORS,
        "        if reach is not None and permission.rpartition(\".\")[0] in ADMINISTRATIVE and not "
        "permission.endswith(\".read\"):\n            return None\n", "",
        "tests/api/test_access.py::test_nobody_gives_themselves_rights",
    ),
    Mutant(
        "the last administrator may leave", UNIT, "keep_an_admin(self.session.connection())", "pass",
        "tests/api/test_access.py::test_the_last_administrator_stays",
    ),
    Mutant(
        "a secret field can be asked for in a filter", "core/rapport/query/bind.py",
        "found = visible(meta).get(last)", "found = meta.fields.get(last)",
        "tests/query/test_filter.py::test_a_secret_field_does_not_exist",
    ),
    Mutant(
        "what others uploaded goes into one's record", FILES,
        "mine = owner is not None and (owner.actor_id == me or me is None)", "mine = owner is not None",
        "tests/web/test_files.py::test_a_file_is_seen_by_those_who_see_its_record_and_by_nobody_else",
    ),
    Mutant(
        "undoing asks for no right", UNIT, "    _refuse_undoing(unit, rows)\n", "",
        "tests/security/test_rights.py::test_who_has_lost_a_right_cannot_use_it_by_undoing",
    ),
    Mutant(
        "an import runs with rights that are gone", JOBS,
        "if actor is None:\n        _finish(site, job_id, fence, \"failed\", f\"{name}: its user is no longer active.\")\n"
        "        return",
        "if actor is None:\n        actor = system(name)",
        "tests/kernel/test_jobs.py::test_the_job_of_somebody_who_left_is_not_done",
    ),
    # One write path
    Mutant(
        "nobody looks at the version", UNIT, "if version is not None and record.version != version:", "if False:",
        "tests/records/test_units.py::test_a_stale_version_changes_nothing_and_shows_the_present_values",
    ),
    Mutant(
        "If-Match is not needed", RESOURCE, "if text is None or text.strip() == \"*\":", "if text is not None and text == \"*\":",
        "tests/api/test_records.py::test_a_change_names_the_version_it_is_based_on",
    ),
    Mutant(
        "any If-Match is good enough", RESOURCE,
        "return record.version if record.version in seen else max(seen, default=0)", "return record.version",
        "tests/api/test_records.py::test_a_change_names_the_version_it_is_based_on",
        quick=True,
    ),
    Mutant(
        "a change is not in the log", UNIT,
        "self._changes.append(Change(type(record), record, _action(changes), changes))", "pass",
        "tests/records/test_units.py::test_every_change_is_in_the_log_with_old_and_new",
    ),
    Mutant(
        "the log is written after the commit", UNIT,
        "        self._write_log()\n        if self._form is not None:\n            self._form.end(self, self._changes)\n",
        "        if self._form is not None:\n            self._form.end(self, self._changes)\n        self.session.commit()\n"
        "        self._write_log()\n",
        "tests/faults/test_killed.py::test_a_write_is_done_whole_or_not_at_all",
    ),
    Mutant(
        "what was wrong is written before it is refused", UNIT,
        "        if problems:\n            raise Invalid(problems)\n        self.session.add(record)\n        self.flush()\n",
        "        self.session.add(record)\n        self.flush()\n        if problems:\n            self.session.commit()\n"
        "            raise Invalid(problems)\n",
        "tests/records/test_units.py::test_a_reference_to_nothing_is_refused_like_one_to_a_hidden_record",
    ),
    Mutant(
        "half a unit is kept", UNIT, "            if kind is None:\n                self.commit()", "            self.commit()",
        "tests/records/test_units.py::test_an_error_anywhere_in_a_unit_takes_all_of_it_back",
    ),
    Mutant(
        "what a savepoint took back is logged", UNIT, "        del self._changes[self._marks.pop(transaction, 0) :]\n", "",
        "tests/records/test_units.py::test_what_a_savepoint_took_back_is_not_logged",
    ),
    Mutant(
        "plugins answer each other for ever", UNIT, "if self.depth < MAX_DEPTH and deliveries:", "if self.depth < 2 * MAX_DEPTH and deliveries:",
        "tests/records/test_units.py::test_plugins_that_answer_each_other_are_stopped",
    ),
    Mutant(
        "undo overwrites what somebody changed since", UNDOING,
        "if f.dump(getattr(record, name)) != new:", "if False:",
        "tests/exchange/test_imports.py::test_what_people_changed_since_the_import_stays_and_is_told",
    ),
    Mutant(
        "a merge leaves references behind", "core/rapport/customers/service.py",
        "            move_references(unit, other, survivor)\n", "",
        "tests/customers/test_merging.py::test_the_survivor_has_everything_that_was_the_others",
    ),
    Mutant(
        "a deleted record leaves its search words", UNIT, "        if forgotten:\n            forget_documents(connection, forgotten)\n", "",
        "tests/records/test_units.py::test_nothing_that_is_put_away_leaves_its_words_behind",
    ),
    Mutant(
        "foreign keys are off", ENGINE, "cursor.execute(\"PRAGMA foreign_keys = ON\")", "cursor.execute(\"PRAGMA foreign_keys = OFF\")",
        "tests/records/test_units.py::test_the_database_itself_keeps_every_reference_whichever_way_one_writes",
        quick=True,
    ),
    Mutant(
        "reading may write", ENGINE, "connection.execute(\"PRAGMA query_only = ON\").close()", "pass",
        "tests/records/test_guard.py::test_a_reading_connection_cannot_write",
    ),
    Mutant(
        "reading may write on PostgreSQL", ENGINE, "-c default_transaction_read_only=on ", "",
        "tests/records/test_reading.py::test_a_question_is_a_transaction_by_itself_and_cannot_write", "postgresql",
    ),
    Mutant(
        "what a reader sets stays on its connection", ENGINE, "not statement.startswith((\"SELECT\", \"WITH\")) or ", "",
        "tests/records/test_reading.py::test_what_somebody_sets_is_as_before_for_the_next", "postgresql",
    ),
    Mutant(
        "the log is read while places are taken in it", LOG, "ensure_transaction(connection)", "pass",
        "tests/records/test_reading.py::test_nobody_takes_a_place_in_the_log_while_it_is_read_without_gaps", "postgresql",
    ),
    Mutant(
        "connections are used without a look", ENGINE, "looks.poll(0) or ", "",
        "tests/records/test_reading.py::test_a_connection_that_the_server_has_closed_is_replaced_before_it_is_used",
        "postgresql",
    ),
    Mutant(
        "a write begins without the lock", ENGINE, "_say(connection, \"BEGIN IMMEDIATE\")", "_say(connection, \"BEGIN\")",
        "tests/faults/test_storage.py::test_who_begins_to_write_holds_the_lock_from_then_on",
    ),
    # Asked twice, done once
    Mutant(
        "an Idempotency-Key is ignored", KEYS, "    if text is None:\n        return None\n", "    return None\n",
        "tests/api/test_records.py::test_a_post_sent_again_with_its_key_has_its_effect_once",
    ),
    Mutant(
        "a key counts whatever it is sent with", KEYS, "if found.fingerprint != key.fingerprint:", "if False:",
        "tests/api/test_records.py::test_a_post_sent_again_with_its_key_has_its_effect_once",
    ),
    Mutant(
        "the answer to a key is not kept", KEYS, "    if key is not None:\n        headers", "    if False:\n        headers",
        "tests/api/test_records.py::test_a_post_sent_again_with_its_key_has_its_effect_once",
    ),
    Mutant(
        "the lines of a bulk request keep no keys", BULK,
        "key.of_line(line.number, line.text) if key else None", "None",
        "tests/api/test_records.py::test_a_bulk_request_sent_again_repeats_nothing",
    ),
    Mutant(
        "an atomic bulk request keeps what went well", BULK, "                    raise Failed from error\n", "",
        "tests/api/test_records.py::test_an_atomic_bulk_request_is_done_whole_or_not_at_all",
    ),
    Mutant(
        "numbers are the highest and one", "plugins/sales/rapport_sales/numbers.py",
        "last = int(connection.scalar(counted) or count)",
        "from sqlalchemy import func, select\n\n    from rapport_sales.orders import Order\n"
        "    last = int(connection.scalar(select(func.count()).select_from(Order)) or 0) + count",
        "tests/faults/test_once.py::test_of_many_who_make_one_at_once_each_gets_a_number_of_its_own",
        on="postgresql",
    ),
    Mutant(
        "an inbound message counts each time it comes", INBOUND,
        "return message_id if proven and _ID.fullmatch(message_id) else None",
        "return str(uuid7()) if proven and _ID.fullmatch(message_id) else None",
        "tests/webhooks/test_inbound.py::test_what_is_said_twice_is_heard_once_and_becomes_a_record",
    ),
    # Jobs, events, the outbox
    Mutant(
        "a job is done without a lease", JOBS, "job_table.c.state == \"running\", job_table.c.leased_until < bindparam(\"now\"), _OURS",
        "job_table.c.state == \"running\", _OURS",
        "tests/kernel/test_jobs.py::test_a_job_under_way_is_left_to_whoever_does_it",
    ),
    Mutant(
        "a lease without a fence: who lost the job goes on", JOBS,
        ".where(job_table.c.id == self.job_id, job_table.c.fence == self.fence, job_table.c.state == \"running\")\n"
        "            .values(done=done,",
        ".where(job_table.c.id == self.job_id)\n            .values(done=done,",
        "tests/kernel/test_jobs.py::test_who_lost_the_job_cannot_say_anything_of_it_any_more",
    ),
    Mutant(
        "a job that kills its worker is tried for ever", JOBS, "if attempts > job.attempts:", "if False:",
        "tests/kernel/test_jobs.py::test_a_job_that_ends_every_process_is_given_up",
    ),
    Mutant(
        "a job is asked for outside the transaction", "core/rapport/interactions/sending.py",
        "enqueue_job(unit.session.connection(), SENDER, {\"message_id\": str(message.id)}, actor=system(\"send\"),\n"
        "                due_at=due_at, key=str(message.id))",
        "unit.site.sent = getattr(unit.site, \"sent\", 0) + 1",
        "tests/interactions/test_gate.py::test_a_message_goes_out_and_is_on_the_timeline",
    ),
    Mutant(
        "of one key many jobs wait", JOBS, "    if not key:\n        connection.execute(insert(job_table).values(row))\n        return job_id",
        "    if True:\n        connection.execute(insert(job_table).values({**row, \"key\": \"\"}))\n        return job_id",
        "tests/kernel/test_jobs.py::test_of_one_key_one_job_waits_and_begins_at_the_earlier_time",
    ),
    Mutant(
        "a broker is given everything at once", JOBS, "room = MAX_RELEASED - len(", "room = MAX_RELEASED + len(",
        "tests/kernel/test_jobs.py::test_a_broker_never_holds_more_than_so_many",
    ),
    Mutant(
        "an event is struck off before it is told", EVENTS,
        "        error = _tell(site, unit, row)\n        if error is None:\n            connection.execute(delete(",
        "        connection.execute(delete(delivery_table).where(delivery_table.c.id == delivery_id))\n"
        "        unit.session.commit()\n        error = _tell(site, unit, row)\n        if error is None:\n"
        "            unit.session.connection().execute(delete(",
        "tests/records/test_units.py::test_a_listener_that_fails_is_told_again_and_leaves_nothing_half_done",
    ),
    Mutant(
        "the next time of a schedule is not noted", "core/rapport/schedules.py",
        ".values(due_at=next_run(row.rule, row.zone, now))", ".values(due_at=row.due_at)",
        "tests/kernel/test_schedules.py::test_a_job_comes_round_and_is_made_up_for_once_after_a_week_without_a_worker",
    ),
    Mutant(
        "what may have gone out is sent again", OUTBOX, "                message.state = \"doubtful\"\n", "                message.state = \"waiting\"\n",
        "tests/interactions/test_crashes.py::test_no_message_is_lost_or_sent_twice_wherever_the_process_is_killed",
    ),
    Mutant(
        "a message goes out before it is claimed", OUTBOX,
        "        message.state, message.reason = \"sending\", \"\"\n", "        message.reason = \"\"\n",
        "tests/interactions/test_gate.py::test_a_message_goes_out_and_is_on_the_timeline",
    ),
    Mutant(
        "who was let go still writes to customers", OUTBOX, "return sender is not None and sender.may(\"message.send\")", "return True",
        "tests/interactions/test_gate.py::test_who_left_since_sends_nothing_more",
    ),
    Mutant(
        "consent is not asked for", GATE, "    they_agreed,\n    within_caps,", "    within_caps,",
        "tests/interactions/test_gate.py::test_only_who_agreed_is_written_to_and_the_newest_word_counts",
    ),
    Mutant(
        "do not contact is not looked at", GATE, "    nobody_asked_for_peace,\n    they_agreed,", "    they_agreed,",
        "tests/interactions/test_gate.py::test_who_asked_for_peace_has_it_whatever_it_is_for",
    ),
    Mutant(
        "a cap counts one too few", GATE, "if counted >= cap.most:", "if counted > cap.most:",
        "tests/interactions/test_gate.py::test_a_cap_counts_by_person_channel_and_campaign",
        quick=True,
    ),
    # What comes in
    Mutant(
        "JSON may be nested as deep as one likes", BODY, "if depth > MAX_DEPTH:", "if False:",
        "tests/api/test_bad_input.py::test_a_body_that_cannot_be_used_is_refused_and_changes_nothing",
    ),
    Mutant(
        "JSON is read from any content type", BODY, "    if request.mimetype not in allowed:", "    if False:",
        "tests/api/test_bad_input.py::test_only_json_is_read",
    ),
    Mutant(
        "a key given twice is taken",
        BODY,
        "object_pairs_hook=_unique",
        "object_pairs_hook=dict",
        "tests/api/test_bad_input.py::test_a_body_that_cannot_be_used_is_refused_and_changes_nothing",
    ),
    Mutant(
        "a cookie opens the API", "core/rapport/builtin/api/sign_in.py",
        "if scheme.lower() != \"bearer\" or not secret:",
        "from rapport.builtin.web.sign_in import signed_in_actor\n\n        if not secret and isinstance(found := "
        "signed_in_actor(), Actor):\n            return found\n        if scheme.lower() != \"bearer\" or not secret:",
        "tests/api/test_access.py::test_a_cookie_opens_nothing",
    ),
    Mutant(
        "forms need no token", "core/rapport/builtin/web/context.py", "    CSRFProtect(app)\n", "    CSRFProtect(app)\n    app.config[\"WTF_CSRF_ENABLED\"] = False\n",
        "tests/web/test_signing_in.py::test_a_form_counts_only_with_the_token_of_its_page",
    ),
    Mutant(
        "a signature counts for ever", INBOUND, "if row.signature == \"standard\" and not _is_fresh(now):", "if False:",
        "tests/webhooks/test_inbound.py::test_what_is_old_or_was_changed_on_the_way_or_cannot_be_kept_is_refused",
    ),
    Mutant(
        "a signature is not of the body", SIGNING, "signed = f\"{message_id}.{timestamp}.\".encode() + body",
        "signed = f\"{message_id}.{timestamp}.\".encode()",
        "tests/webhooks/test_inbound.py::test_what_is_old_or_was_changed_on_the_way_or_cannot_be_kept_is_refused",
    ),
    Mutant(
        "the sanitizer lets scripts through", "plugins/email/rapport_email/cleaning_child.py",
        "    return nh3.clean(\n        page,", "    return page or nh3.clean(\n        page,",
        "plugins/email/tests/test_pages.py::test_a_mails_html_runs_nothing_loads_nothing_and_shows_its_own_pictures",
        quick=True,
    ),
    Mutant(
        "a mail shows pictures from outside", "plugins/email/rapport_email/cleaning_child.py",
        "(images and outside)", "outside",
        "plugins/email/tests/test_pages.py::test_a_mails_html_runs_nothing_loads_nothing_and_shows_its_own_pictures",
    ),
    Mutant(
        "a file is as large as somebody likes", FILES, "if size > most_mb * 1024 * 1024:", "if False:",
        "tests/web/test_files.py::test_what_is_too_large_is_refused_and_leaves_nothing",
    ),
    Mutant(
        "a link to anywhere after signing in", "core/rapport/http.py",
        "not wanted.startswith((\"//\", \"/\\\\\"))", "not wanted.startswith(\"//\")",
        "tests/web/test_signing_in.py::test_nobody_is_led_elsewhere_after_signing_in",
    ),
    # What goes out
    Mutant(
        "a redirect is followed", OUTBOUND, "    heard = {name.lower(): value for name, value in response.getheaders()}\n",
        "    heard = {name.lower(): value for name, value in response.getheaders()}\n"
        "    if response.status in {301, 302, 307, 308} and \"location\" in heard:\n"
        "        return request(site, method, heard[\"location\"], headers=headers, body=body, seconds=seconds,\n"
        "                       limit=limit, resolver=resolver)\n",
        "tests/webhooks/test_outbound.py::test_a_redirect_is_an_answer_and_is_not_followed",
        quick=True,
    ),
    Mutant(
        "only loopback is inside", OUTBOUND, "return address.is_global and not address.is_multicast", "return not address.is_loopback",
        "tests/webhooks/test_outbound.py::test_no_way_of_writing_an_address_leads_to_this_machine_or_its_network",
    ),
    Mutant(
        "addresses within addresses are not looked at", OUTBOUND, " and all(map(is_public, _carried(address)))", "",
        "tests/webhooks/test_outbound.py::test_no_way_of_writing_an_address_leads_to_this_machine_or_its_network",
    ),
    Mutant(
        "a name is resolved anew after it was tested", OUTBOUND,
        "connection.sock = _socket(addresses, target.port, deadline)",
        "connection.sock = socket.create_connection((target.host, target.port), deadline.left())",
        "tests/webhooks/test_outbound.py::test_a_name_is_resolved_once_and_the_connection_goes_to_the_address_that_was_tested",
    ),
    Mutant(
        "a gigabyte is read whole", OUTBOUND, "content = response.read(limit + 1)", "content = response.read()",
        "tests/webhooks/test_outbound.py::test_of_a_gigabyte_no_more_than_the_limit_is_read",
    ),
    Mutant(
        "patience lasts for as long as somebody drips", OUTBOUND, "self._end = time.monotonic() + seconds",
        "self._end = time.monotonic() + 6 * seconds",
        "tests/webhooks/test_outbound.py::test_patience_ends_however_slowly_the_other_side_drips",
    ),
    Mutant(
        "a webhook tells what its owner may not read", SENDING,
        "if change.seq not in heard_of(reader, [change]):", "if False:",
        "tests/webhooks/test_webhooks.py::test_a_right_that_is_gone_when_it_is_tried_again_tells_nothing",
    ),
    Mutant(
        "a receiver that is gone is told for ever", SENDING, "    if gone:\n", "    if False:\n",
        "tests/webhooks/test_webhooks.py::test_a_receiver_that_is_gone_is_switched_off_and_its_owner_told",
    ),
    Mutant(
        "each attempt has another id", SENDING, "return f\"msg_{delivery_id.hex}\"",
        "import uuid\n    return f\"msg_{uuid.uuid4().hex}\"",
        "tests/webhooks/test_webhooks.py::test_what_fails_is_tried_again_for_days_with_the_same_id_and_then_given_up",
    ),
    Mutant(
        "a list goes out without its guard against formulas", WRITERS,
        "self._csv.writerow([formulas.guard(as_text(value)) for value in row])",
        "self._csv.writerow([as_text(value) for value in row])",
        "tests/exchange/test_writing.py::test_csv_holds_no_formula_and_comes_back_unaltered",
        quick=True,
    ),
    Mutant(
        "a workbook holds formulas", WRITERS, "            sheet.write_string(line, column, text)",
        "            (sheet.write_formula if text[:1] == \"=\" else sheet.write_string)(line, column, text)",
        "tests/exchange/test_writing.py::test_xlsx_holds_no_formula_and_comes_back_unaltered",
    ),
    Mutant(
        "a file is offered as a page of ours", "core/rapport/http.py", "as_attachment=True", "as_attachment=False",
        "tests/web/test_files.py::test_a_file_comes_along_with_a_call_and_is_found_on_the_timeline_and_beside_it",
    ),
    # Backups, plugins
    Mutant(
        "a backup is a copy of the file", ARCHIVE, "            source.backup(copy, pages=-1)\n",
        "            shutil.copyfile(source_path, target)\n",
        "tests/cli/test_backup.py::test_a_backup_under_write_load_holds_all_that_was_committed_before",
    ),
    Mutant(
        "a damaged file passes", ARCHIVE, "    if digest.hexdigest() != expected:", "    if False:",
        "tests/cli/test_backup.py::test_a_backup_that_lies_about_its_rows_or_reaches_outside_is_refused",
    ),
    Mutant(
        "the rows of a backup are not counted", ARCHIVE,
        "if (found := count_rows(folder / DATABASE)) != manifest.tables:", "if (found := count_rows(folder / DATABASE)) is None:",
        "tests/cli/test_backup.py::test_a_backup_that_lies_about_its_rows_or_reaches_outside_is_refused",
    ),
    Mutant(
        "a restored site lies over another", ARCHIVE, "    if taken and not replace:", "    if False:",
        "tests/cli/test_backup.py::test_restoring_never_goes_over_something",
    ),
    Mutant(
        "a view without a policy is served", "core/rapport/http.py",
        "        if policy_of(app.view_functions[rule.endpoint]) is None:\n            raise PageFault(",
        "        if False:\n            raise PageFault(",
        "tests/kernel/test_plugins.py::test_a_page_without_a_policy_costs_only_its_plugin",
    ),
)  # fmt: skip
