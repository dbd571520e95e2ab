import Foundation
import GRDB
import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The database's tables, by version (`PRAGMA user_version`).
enum Schema {
    static let version = migrations.count

    /// Migrates the database to the current version. An older database is copied first, to `<path>.v<version>`.
    ///
    /// A relay of the older version could not continue afterwards. So nothing is changed while a relay is running,
    /// which its lock in `relays` shows.
    static func prepare(
        _ pool: DatabasePool, path: String, relays: LockFile, migrations: [String] = migrations
    ) throws {
        let old = try pool.read { database in
            try requireModule("fts5", in: database)
            return try found(database, knowing: migrations.count)
        }
        guard old < migrations.count else { return }
        guard try old == 0 || !relays.isAnyTaken(InstanceLock.numbers) else {
            throw StoreError.olderSchemaInUse(found: old, known: migrations.count)
        }
        try pool.writeWithoutTransaction { database in
            // During this transaction no other process writes, so the copy contains everything that the migration
            // starts with.
            try database.inTransaction(.immediate) {
                // Another process may have migrated the database in the meantime.
                let found = try found(database, knowing: migrations.count)
                guard found < migrations.count else { return .rollback }
                let copy = found > 0 ? try copy(pool, to: "\(path).v\(found)") : nil
                do {
                    for migration in migrations.dropFirst(found) { try database.execute(sql: migration) }
                    try database.execute(sql: "PRAGMA user_version = \(migrations.count)")
                } catch {
                    // A database that was not migrated needs no copy, and each new attempt would create another copy.
                    if let copy { unlink(copy) }
                    throw error
                }
                return .commit
            }
        }
    }

    /// Throws a ``StoreError`` if this system's SQLite lacks a module that the search for words needs.
    static func requireModule(_ name: String, in database: Database) throws {
        let exists = try Bool.fetchOne(
            database, sql: "SELECT EXISTS (SELECT 1 FROM pragma_module_list WHERE name = ?)", arguments: [name])
        guard exists == true else {
            throw StoreError.unavailable(
                "the SQLite library of this system was built without \(name.uppercased()), which the search for words needs"
            )
        }
    }

    private static func found(_ database: Database, knowing known: Int) throws -> Int {
        let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        guard found <= known else { throw StoreError.newerSchema(found: found, known: known) }
        return found
    }

    /// Creates a copy for operators who want to go back. It is complete and synced under its name, or it does not
    /// exist.
    ///
    /// An earlier copy stays as it is. The new one then gets a number after its name. Returns the copy's path.
    private static func copy(_ pool: DatabasePool, to wanted: String) throws -> String {
        let names = [wanted] + (2...99).map { "\(wanted).\($0)" }
        guard let path = names.first(where: { !FileManager.default.fileExists(atPath: $0) }) else {
            throw StoreError.unavailable("there are already 99 copies named \(wanted).2 and so on; remove some of them")
        }
        // Deletes what a process that ended early has left. Only one process copies at a time.
        let unfinished = "\(wanted).unfinished"
        let suffixes = ["", "-journal", "-wal", "-shm"]
        for suffix in suffixes { unlink(unfinished + suffix) }
        guard let descriptor = try OwnedFile.make(unfinished) else {
            throw StoreError.unavailable("\(unfinished) is in the way of a copy; remove it")
        }
        close(descriptor)
        do {
            let target = try DatabaseQueue(path: unfinished)
            // `backup` copies from a reading connection: SQLite refuses to copy from the writing one.
            try pool.backup(to: target)
            try target.close()
            guard rename(unfinished, path) == 0 else { throw systemError() }
            try SQLiteStore.syncDirectory(SQLiteStore.directory(of: path))
        } catch {
            for suffix in suffixes { unlink(unfinished + suffix) }
            throw error
        }
        return path
    }

    /// Each entry migrates from one version to the next. A released entry is never changed.
    static let migrations = [
        // Times are milliseconds since 1970 in UTC. Lists in one column are separated by spaces.
        """
        CREATE TABLE key (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            environment TEXT NOT NULL CHECK (environment IN ('test', 'live')),
            scopes TEXT NOT NULL,
            per_second REAL NOT NULL,
            burst INTEGER,
            per_day INTEGER,
            domains TEXT NOT NULL,
            networks TEXT NOT NULL,
            detects_repeats INTEGER NOT NULL DEFAULT 1,
            created_at INTEGER NOT NULL,
            expires_at INTEGER,
            revoked_at INTEGER,
            digest BLOB NOT NULL,
            previous_digest BLOB,
            previous_until INTEGER,
            last_used_at INTEGER,
            emails_total INTEGER NOT NULL DEFAULT 0,
            rate_limit_hits INTEGER NOT NULL DEFAULT 0,
            auth_failures INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;

        -- Emails and messages accepted, by key and UTC day (counted from 1970-01-01).
        CREATE TABLE usage (
            key TEXT NOT NULL,
            day INTEGER NOT NULL,
            emails INTEGER NOT NULL,
            messages INTEGER NOT NULL,
            PRIMARY KEY (key, day)
        ) WITHOUT ROWID;

        CREATE TABLE message (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL,
            lane TEXT NOT NULL,
            client BLOB,
            reverse_path TEXT,
            subject TEXT,
            size INTEGER NOT NULL,
            accepted_at INTEGER NOT NULL,
            -- Name of the body's file in the spool; null: the body is in the table body, or no longer kept.
            spooled TEXT
        );
        CREATE INDEX message_by_key ON message (key);

        -- Apart from its message, so that it can go earlier, and lists need not step over it.
        CREATE TABLE body (
            message INTEGER PRIMARY KEY,
            bytes BLOB NOT NULL
        );

        CREATE TABLE delivery (
            id INTEGER PRIMARY KEY,
            message INTEGER NOT NULL,
            key TEXT NOT NULL,
            lane TEXT NOT NULL,
            recipients TEXT NOT NULL,
            state TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            next_attempt_at INTEGER NOT NULL,
            -- When it was accepted, or put back into the queue by an operator: it is given up so long after that.
            queued_since INTEGER NOT NULL,
            -- While it is sending: who has it, since when, and until when.
            holder INTEGER,
            claimed_at INTEGER,
            lease_until INTEGER,
            -- Set when its key is revoked meanwhile: hold or drop, in place of another try.
            on_return TEXT,
            ses_message_id TEXT,
            reason TEXT,
            maybe_duplicate INTEGER NOT NULL DEFAULT 0,
            ended_at INTEGER
        );
        CREATE INDEX delivery_by_message ON delivery (message);
        CREATE INDEX delivery_queued ON delivery (lane, key, next_attempt_at, id) WHERE state = 'queued';
        CREATE INDEX delivery_sending ON delivery (lane, lease_until) WHERE state = 'sending';
        CREATE INDEX delivery_held ON delivery (lane, key) WHERE state = 'held';
        CREATE INDEX delivery_ended ON delivery (state, ended_at) WHERE ended_at IS NOT NULL;

        CREATE TABLE attempt (
            delivery INTEGER NOT NULL,
            number INTEGER NOT NULL,
            started_at INTEGER NOT NULL,
            finished_at INTEGER NOT NULL,
            outcome TEXT NOT NULL,
            reason TEXT,
            PRIMARY KEY (delivery, number)
        ) WITHOUT ROWID;

        -- What tells that a message is the same again, for a day. The first index finds it, the second lets it go.
        CREATE TABLE repeat (
            fingerprint BLOB PRIMARY KEY,
            message INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX repeat_by_message ON repeat (message);

        CREATE TABLE lane_status (
            lane TEXT PRIMARY KEY,
            held_because TEXT,
            since INTEGER NOT NULL,
            rate REAL
        ) WITHOUT ROWID;
        """,
        // Each message causes writes to fewer pages: rows of the table repeat that may be forgotten are found by going
        // through the table, the total of a key's emails is the sum of its days, and the rows of days contain when the
        // key was last used.
        """
        DROP INDEX repeat_by_message;
        ALTER TABLE usage ADD COLUMN last_at INTEGER;
        ALTER TABLE key DROP COLUMN emails_total;
        """,
        // Pauses are counted separately from attempts, so that they begin with the shortest again when an operator has
        // a delivery sent again. Two values are stored: the total size of test messages' bodies, and the position up to
        // which the oldest bodies have been deleted.
        """
        ALTER TABLE delivery ADD COLUMN pauses INTEGER NOT NULL DEFAULT 0;
        UPDATE delivery SET pauses = attempts WHERE ended_at IS NULL;

        CREATE TABLE simulated_bodies (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            bytes INTEGER NOT NULL,
            -- Of the ended delivery that was looked at last.
            ended_at INTEGER NOT NULL,
            delivery INTEGER NOT NULL
        );
        INSERT INTO simulated_bodies (id, bytes, ended_at, delivery)
        SELECT 1, COALESCE(SUM(size), 0), 0, 0 FROM message
        WHERE lane = 'test'
            AND (spooled IS NOT NULL OR EXISTS (SELECT 1 FROM body WHERE body.message = message.id));
        """,
        // Tags, scheduled deliveries, cancelled ones, and requests with an idempotency key. A message without any of
        // these writes no more rows and pages than before.
        """
        -- Separated by line feeds; null: none.
        ALTER TABLE message ADD COLUMN tags TEXT;

        -- A row for each tag, so that a key's messages are found by one of them, in their order.
        CREATE TABLE tag (
            key TEXT NOT NULL,
            tag TEXT NOT NULL,
            message INTEGER NOT NULL,
            PRIMARY KEY (key, tag, message)
        ) WITHOUT ROWID;

        -- The time that it was scheduled for; stays when that has passed. While nothing was tried, next_attempt_at is the same.
        ALTER TABLE delivery ADD COLUMN scheduled_at INTEGER;
        DROP INDEX delivery_queued;
        CREATE INDEX delivery_queued ON delivery (lane, key, next_attempt_at, id, scheduled_at) WHERE state = 'queued';

        -- The few that a list by key and state must find among the many that were sent.
        CREATE INDEX delivery_rare ON delivery (key, state, message)
        WHERE state = 'held' OR state = 'failed' OR state = 'cancelled';

        -- Where the fingerprint is that of a request with an idempotency key: what was asked, and when it was accepted, since
        -- the message may be gone earlier.
        ALTER TABLE repeat ADD COLUMN content BLOB;
        ALTER TABLE repeat ADD COLUMN accepted_at INTEGER;
        """,
        // The outcome of messages: events of recipients, suppressions, reports to senders, webhooks. A message without
        // any event writes no more rows than before, and a live message that was sent adds an entry to the index by
        // SES's id.
        """
        -- An automatic reply, a report or from a list: nobody is told by mail that it failed.
        ALTER TABLE message ADD COLUMN automatic INTEGER NOT NULL DEFAULT 0;
        -- Recipients of a delivery that were suppressed. Each has an event.
        ALTER TABLE delivery ADD COLUMN suppressed INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX delivery_by_ses_message_id ON delivery (ses_message_id)
        WHERE lane = 'live' AND ses_message_id IS NOT NULL;
        DROP INDEX delivery_rare;
        CREATE INDEX delivery_rare ON delivery (key, state, message)
        WHERE state = 'held' OR state = 'failed' OR state = 'cancelled' OR state = 'suppressed';

        -- What others told of a recipient, and who was suppressed. The primary key is what makes an event one, however often it is told.
        CREATE TABLE event (
            message INTEGER NOT NULL,
            -- As in the envelope.
            recipient TEXT NOT NULL,
            kind TEXT NOT NULL,
            at INTEGER NOT NULL,
            bounce_type TEXT,
            subtype TEXT,
            diagnostic TEXT,
            server TEXT,
            feedback_id TEXT,
            PRIMARY KEY (message, recipient, kind, at)
        ) WITHOUT ROWID;
        -- Nearly all messages are delivered, so those that are not are few.
        CREATE INDEX event_rare ON event (kind, message) WHERE kind <> 'delivered';

        -- Reports whose message is not known yet.
        CREATE TABLE waiting_event (
            id INTEGER PRIMARY KEY,
            ses_message_id TEXT NOT NULL,
            received_at INTEGER NOT NULL,
            recipient TEXT NOT NULL,
            kind TEXT NOT NULL,
            at INTEGER NOT NULL,
            bounce_type TEXT,
            subtype TEXT,
            diagnostic TEXT,
            server TEXT,
            feedback_id TEXT
        );

        -- What the queue that SES reports to has told.
        CREATE TABLE feedback_status (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            last_report_at INTEGER,
            last_answer_at INTEGER,
            failure TEXT,
            failing_since INTEGER
        );
        INSERT INTO feedback_status (id) VALUES (1);

        ALTER TABLE usage ADD COLUMN deliveries INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE usage ADD COLUMN bounces INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE usage ADD COLUMN hard_bounces INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE usage ADD COLUMN complaints INTEGER NOT NULL DEFAULT 0;

        CREATE TABLE suppression (
            environment TEXT NOT NULL,
            -- The address in lower case.
            match_key TEXT NOT NULL,
            address TEXT NOT NULL,
            reason TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            message INTEGER,
            note TEXT,
            PRIMARY KEY (environment, match_key)
        ) WITHOUT ROWID;

        -- Recipients whom a message did not reach, of which its sender has not been told.
        CREATE TABLE undelivered (
            message INTEGER NOT NULL,
            recipient TEXT NOT NULL,
            kind TEXT NOT NULL,
            at INTEGER NOT NULL,
            -- When it came on record.
            since INTEGER NOT NULL,
            reason TEXT,
            diagnostic TEXT,
            PRIMARY KEY (message, recipient)
        ) WITHOUT ROWID;

        CREATE INDEX undelivered_by_age ON undelivered (since, message);

        ALTER TABLE key ADD COLUMN webhooks_for_all INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX key_webhooks_for_all ON key (environment) WHERE webhooks_for_all;

        CREATE TABLE webhook (
            id TEXT PRIMARY KEY,
            key TEXT NOT NULL,
            url TEXT NOT NULL,
            -- Separated by blanks; empty: all.
            events TEXT NOT NULL,
            -- Separated by line feeds; null: any.
            tags TEXT,
            enabled INTEGER NOT NULL,
            disabled_because TEXT,
            created_at INTEGER NOT NULL,
            secret BLOB NOT NULL,
            previous_secret BLOB,
            previous_secret_until INTEGER,
            failing_since INTEGER
        ) WITHOUT ROWID;
        CREATE INDEX webhook_by_key ON webhook (key, created_at);

        CREATE TABLE webhook_call (
            id INTEGER PRIMARY KEY,
            webhook TEXT NOT NULL,
            event TEXT NOT NULL,
            type TEXT NOT NULL,
            body BLOB NOT NULL,
            created_at INTEGER NOT NULL,
            state TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            next_attempt_at INTEGER NOT NULL,
            last_attempt_at INTEGER,
            last_duration INTEGER,
            last_status INTEGER,
            last_response TEXT
        );
        CREATE INDEX webhook_call_waiting ON webhook_call (webhook, next_attempt_at) WHERE state = 'waiting';
        CREATE INDEX webhook_call_age ON webhook_call (webhook, created_at) WHERE state = 'waiting';
        CREATE INDEX webhook_call_by_webhook ON webhook_call (webhook, id);
        CREATE INDEX webhook_call_ended ON webhook_call (created_at) WHERE state <> 'waiting';
        """,
        // The fingerprints by which repeats are recognised are made with a key of the store. Earlier fingerprints,
        // which were made without the key, are recognised for another day.
        """
        CREATE TABLE repeat_key (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            bytes BLOB NOT NULL,
            former_until INTEGER
        );
        INSERT INTO repeat_key (id, bytes, former_until)
        SELECT 1, randomblob(16),
            CASE WHEN EXISTS (SELECT 1 FROM repeat) THEN 1000 * (CAST(strftime('%s', 'now') AS INTEGER) + 86400) END;
        """,
        // Data for the operator's page: sessions, keys by age, messages by words and by rare states of all keys. A
        // message that is accepted and sent writes nothing more than before.
        """
        -- Of secrets that let an operator in, their SHA-256: links, which are good once, and sessions.
        CREATE TABLE operator_login (
            digest BLOB PRIMARY KEY,
            ends_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE operator_session (
            digest BLOB PRIMARY KEY,
            ends_at INTEGER NOT NULL
        ) WITHOUT ROWID;

        -- With all that a list of keys asks for, so that keys that are not shown need no look at their rows.
        CREATE INDEX key_by_age ON key (created_at, id, name, environment, revoked_at);

        -- What was told of the emails of a day, of all keys together: a sum over all keys takes too long. Of emails there is no such sum,
        -- since each message would write it; the index finds the keys that were used on a day, and is written once for each.
        CREATE TABLE feedback_by_day (
            environment TEXT NOT NULL,
            day INTEGER NOT NULL,
            deliveries INTEGER NOT NULL,
            bounces INTEGER NOT NULL,
            hard_bounces INTEGER NOT NULL,
            complaints INTEGER NOT NULL,
            PRIMARY KEY (environment, day)
        ) WITHOUT ROWID;
        INSERT INTO feedback_by_day (environment, day, deliveries, bounces, hard_bounces, complaints)
        SELECT environment, day, SUM(deliveries), SUM(bounces), SUM(hard_bounces), SUM(complaints)
        FROM usage JOIN key ON key.id = usage.key
        WHERE deliveries > 0 OR bounces > 0 OR hard_bounces > 0 OR complaints > 0 GROUP BY environment, day;
        CREATE INDEX usage_by_day ON usage (day);

        CREATE INDEX delivery_rare_of_all ON delivery (state, message)
        WHERE state = 'held' OR state = 'failed' OR state = 'cancelled' OR state = 'suppressed';

        -- The words of messages, whose ids are the rowids. It holds the text itself: a row is removed by the words that it was added
        -- with.
        CREATE VIRTUAL TABLE message_words USING fts5(
            recipients, subject, tokenize = 'unicode61 remove_diacritics 2', columnsize = 0
        );
        -- The delivery up to which messages have been brought into it.
        CREATE TABLE words_position (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            delivery INTEGER NOT NULL
        );
        INSERT INTO words_position (id, delivery) VALUES (1, 0);
        """,
        // Templates, and the outcome of messages by template and tag. A message with neither writes no more rows and
        // pages than before.
        """
        -- With its version: tpl_...@3. Null: made from no template.
        ALTER TABLE message ADD COLUMN template TEXT;
        -- 1: its message has a template or tags, so its end counts in the statistics. Else null.
        ALTER TABLE delivery ADD COLUMN counted INTEGER;
        UPDATE delivery SET counted = 1
        WHERE ended_at IS NULL AND EXISTS (SELECT 1 FROM message WHERE message.id = delivery.message AND tags IS NOT NULL);

        CREATE TABLE template (
            id TEXT PRIMARY KEY,
            -- The id of the key that owns it; empty: shared.
            owner TEXT NOT NULL,
            name TEXT NOT NULL,
            -- In lower case.
            name_key TEXT NOT NULL,
            -- The latest.
            version INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX template_by_name ON template (owner, name_key);

        -- What may be large comes last, so that a list need not read it.
        CREATE TABLE template_version (
            template TEXT NOT NULL,
            version INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            created_by TEXT,
            subject BLOB,
            -- JSON.
            variables BLOB NOT NULL,
            sender TEXT,
            -- Separated by line feeds; null: none.
            reply_to TEXT,
            html BLOB,
            text BLOB,
            PRIMARY KEY (template, version)
        );

        -- Recipients by key, template or tag, and UTC day. The empty name stands for all that were too many.
        CREATE TABLE statistic (
            key TEXT NOT NULL,
            kind TEXT NOT NULL,
            day INTEGER NOT NULL,
            name TEXT NOT NULL,
            sent INTEGER NOT NULL,
            delivered INTEGER NOT NULL,
            bounced INTEGER NOT NULL,
            complained INTEGER NOT NULL,
            PRIMARY KEY (key, kind, day, name)
        ) WITHOUT ROWID;
        CREATE INDEX statistic_by_name ON statistic (kind, name, day);
        CREATE INDEX statistic_by_day ON statistic (day);

        CREATE TABLE simulated_domain (
            name TEXT PRIMARY KEY,
            created_at INTEGER NOT NULL,
            created_by TEXT,
            token_seed BLOB NOT NULL,
            verified_at INTEGER
        ) WITHOUT ROWID;
        """,
    ]
}
