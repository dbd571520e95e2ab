import RelayCore

/// The tables in PostgreSQL, by version. They are numbered independently of SQLite's: each store has its own history.
enum Schema {
    static var version: Int { migrations.count }

    /// Migrates the tables to the current version, in one transaction. Relays of an older version could not continue
    /// afterwards, so nothing is changed while one is alive.
    ///
    /// - Parameter migrations: fewer than all for tests, which make the tables of an older version.
    static func prepare(in connection: Connection, migrations: [[String]] = migrations) throws {
        // Two processes that create the tables at once conflict in the catalogue, which IF NOT EXISTS does not prevent.
        for _ in 0..<5 {
            do {
                return try prepareOnce(in: connection, migrations)
            } catch ServerError.refused(let state, _) where ["23505", "42P07"].contains(state) {
                continue
            }
        }
        try prepareOnce(in: connection, migrations)
    }

    private static func prepareOnce(in connection: Connection, _ migrations: [[String]]) throws {
        let version = migrations.count
        guard try found(in: connection) < version else { return }
        try connection.transaction {
            // If several processes start at once, their migrations run one after the other. The lock ends with the
            // transaction.
            try connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL)")
            try connection.execute("LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE")
            let old = try found(in: connection)
            guard old < version else { return }
            if old > 0, try connection.isTrue("SELECT EXISTS (SELECT 1 FROM node WHERE \(NodeRow.isAlive))") {
                throw StoreError.olderSchemaInUse(found: old, known: version)
            }
            for migration in migrations.dropFirst(old) {
                for statement in migration { try connection.execute(statement) }
            }
            try connection.execute("DELETE FROM schema_version")
            try connection.execute("INSERT INTO schema_version (version) VALUES ($1)", [version])
        }
    }

    /// The version of the existing tables; 0: none.
    ///
    /// - Throws: ``StoreError/newerSchema(found:known:)``.
    static func found(in connection: Connection) throws -> Int {
        guard try connection.isTrue("SELECT to_regclass('schema_version') IS NOT NULL") else { return 0 }
        let found = Int(try connection.integer("SELECT max(version) FROM schema_version") ?? 0)
        guard found <= version else { throw StoreError.newerSchema(found: found, known: version) }
        return found
    }

    /// Each entry migrates from one version to the next, one statement at a time. A released entry is never changed.
    ///
    /// Times are milliseconds since 1970 in UTC. All numbers have 64 bits, and texts are compared by their octets, as
    /// in Swift.
    static let migrations: [[String]] = [first, templates, slots]

    private static let first = [
        // Each relay that is running, or was running recently. `id` is never assigned twice; `number` is a part of
        // message ids.
        """
        CREATE TABLE node (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            number bigint NOT NULL,
            name text COLLATE "C" NOT NULL,
            version text COLLATE "C" NOT NULL,
            started_at bigint NOT NULL,
            -- By the server's clock.
            seen_at bigint NOT NULL,
            -- Others have taken, or may take, what it had under way. Never false again.
            is_dead boolean NOT NULL DEFAULT false,
            -- By how many relays it divides SES's rate.
            divides_by bigint NOT NULL DEFAULT 1,
            -- How far the node's own clock is ahead of the server's, in milliseconds.
            clock_offset bigint NOT NULL DEFAULT 0
        )
        """,
        "CREATE UNIQUE INDEX node_living ON node (number) WHERE NOT is_dead",
        """
        CREATE TABLE key (
            id text COLLATE "C" PRIMARY KEY,
            name text COLLATE "C" NOT NULL,
            environment text COLLATE "C" NOT NULL CHECK (environment IN ('test', 'live')),
            scopes text COLLATE "C" NOT NULL,
            per_second double precision NOT NULL,
            burst bigint,
            per_day bigint,
            domains text COLLATE "C" NOT NULL,
            networks text COLLATE "C" NOT NULL,
            detects_repeats boolean NOT NULL DEFAULT true,
            created_at bigint NOT NULL,
            expires_at bigint,
            revoked_at bigint,
            webhooks_for_all boolean NOT NULL DEFAULT false,
            digest bytea NOT NULL,
            previous_digest bytea,
            previous_until bigint
        )
        """,
        "CREATE INDEX key_by_age ON key (created_at, id)",
        "CREATE INDEX key_webhooks_for_all ON key (environment) WHERE webhooks_for_all",
        // Counts the changes of keys. The row's lock makes changes of keys run one after the other.
        "CREATE TABLE key_change (counter bigint NOT NULL)",
        "INSERT INTO key_change (counter) VALUES (1)",
        // Keys with a daily cap: a transaction that accepts mail of one locks its row, so that relays count one after
        // the other. For keys without a cap, relays share no row that they write.
        "CREATE TABLE capped_key (key text COLLATE \"C\" PRIMARY KEY)",
        // The use of keys. This table is separate from the keys' rows, which transactions that accept mail lock.
        """
        CREATE TABLE key_activity (
            key text COLLATE "C" PRIMARY KEY,
            last_used_at bigint,
            rate_limit_hits bigint NOT NULL DEFAULT 0,
            auth_failures bigint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 50)
        """,
        // What is left of a key's rate for all relays together: a bucket of tokens, by the server's clock in seconds.
        """
        CREATE TABLE key_rate (
            key text COLLATE "C" PRIMARY KEY,
            bucket_tokens double precision NOT NULL,
            updated_at double precision NOT NULL,
            -- What relays have taken beyond their messages, and until when they may spend it.
            ahead bigint NOT NULL DEFAULT 0,
            ahead_until double precision NOT NULL DEFAULT 0
        ) WITH (fillfactor = 50)
        """,
        // Emails and messages accepted, by key and UTC day (counted from 1970-01-01). Each relay has its own rows.
        """
        CREATE TABLE usage (
            key text COLLATE "C" NOT NULL,
            day bigint NOT NULL,
            node bigint NOT NULL,
            emails bigint NOT NULL DEFAULT 0,
            messages bigint NOT NULL DEFAULT 0,
            last_at bigint,
            deliveries bigint NOT NULL DEFAULT 0,
            bounces bigint NOT NULL DEFAULT 0,
            hard_bounces bigint NOT NULL DEFAULT 0,
            complaints bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (key, day, node)
        ) WITH (fillfactor = 50)
        """,
        "CREATE INDEX usage_by_day ON usage (day)",
        // The reported outcome of the emails of a day, for all keys together.
        """
        CREATE TABLE feedback_by_day (
            environment text COLLATE "C" NOT NULL,
            day bigint NOT NULL,
            deliveries bigint NOT NULL,
            bounces bigint NOT NULL,
            hard_bounces bigint NOT NULL,
            complaints bigint NOT NULL,
            PRIMARY KEY (environment, day)
        )
        """,
        """
        CREATE TABLE message (
            id bigint PRIMARY KEY,
            key text COLLATE "C" NOT NULL,
            lane text COLLATE "C" NOT NULL,
            client bytea,
            reverse_path text COLLATE "C",
            subject text COLLATE "C",
            size bigint NOT NULL,
            accepted_at bigint NOT NULL,
            -- Separated by line feeds; null: none.
            tags text COLLATE "C",
            automatic boolean NOT NULL DEFAULT false
        )
        """,
        "CREATE INDEX message_by_key ON message (key, id)",
        // A row for each tag, so that a key's messages are found by a tag, in their order.
        """
        CREATE TABLE tag (
            key text COLLATE "C" NOT NULL,
            tag text COLLATE "C" NOT NULL,
            message bigint NOT NULL,
            PRIMARY KEY (key, tag, message)
        )
        """,
        // Parts of 128 KiB, except the last (``BodyPart``), of messages that are accepted or staged.
        """
        CREATE TABLE body (
            message bigint NOT NULL,
            part bigint NOT NULL,
            bytes bytea NOT NULL,
            PRIMARY KEY (message, part)
        )
        """,
        // Compression would take long, and most mail is compressed already.
        "ALTER TABLE body ALTER bytes SET STORAGE EXTERNAL",
        // Large bodies that are being received. Rows that a relay leaves here when it ends are deleted with their
        // parts.
        """
        CREATE TABLE staged_body (
            message bigint PRIMARY KEY,
            node bigint NOT NULL
        )
        """,
        """
        CREATE TABLE delivery (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            message bigint NOT NULL,
            key text COLLATE "C" NOT NULL,
            lane text COLLATE "C" NOT NULL,
            -- Separated by line feeds.
            recipients text COLLATE "C" NOT NULL,
            state text COLLATE "C" NOT NULL,
            attempts bigint NOT NULL DEFAULT 0,
            pauses bigint NOT NULL DEFAULT 0,
            next_attempt_at bigint NOT NULL,
            -- When it was accepted, or put back into the queue by an operator: it is given up so long after that.
            queued_since bigint NOT NULL,
            -- The time that it was scheduled for; stays when that has passed.
            scheduled_at bigint,
            -- While it is sending: the node that has it, since when, until when, and by which claim.
            holder bigint,
            claimed_at bigint,
            lease_until bigint,
            claim bigint,
            -- Set when its key is revoked meanwhile: hold or drop, in place of another try.
            on_return text COLLATE "C",
            ses_message_id text COLLATE "C",
            reason text COLLATE "C",
            maybe_duplicate boolean NOT NULL DEFAULT false,
            suppressed bigint NOT NULL DEFAULT 0,
            ended_at bigint
        )
        """,
        "CREATE INDEX delivery_by_message ON delivery (message)",
        "CREATE INDEX delivery_queued ON delivery (lane, key, next_attempt_at, id) WHERE state = 'queued'",
        "CREATE INDEX delivery_sending ON delivery (lane, lease_until) WHERE state = 'sending'",
        "CREATE INDEX delivery_held ON delivery (lane, key) WHERE state = 'held'",
        "CREATE INDEX delivery_ended ON delivery (state, ended_at, id) WHERE ended_at IS NOT NULL",
        """
        CREATE INDEX delivery_by_ses_message_id ON delivery (ses_message_id)
        WHERE lane = 'live' AND ses_message_id IS NOT NULL
        """,
        """
        CREATE INDEX delivery_rare ON delivery (key, state, message)
        WHERE state IN ('held', 'failed', 'cancelled', 'suppressed')
        """,
        """
        CREATE INDEX delivery_rare_of_all ON delivery (state, message)
        WHERE state IN ('held', 'failed', 'cancelled', 'suppressed')
        """,
        """
        CREATE TABLE attempt (
            delivery bigint NOT NULL,
            number bigint NOT NULL,
            started_at bigint NOT NULL,
            finished_at bigint NOT NULL,
            outcome text COLLATE "C" NOT NULL,
            reason text COLLATE "C",
            PRIMARY KEY (delivery, number)
        )
        """,
        // Fingerprints that show that a message or a request is a repeat, for a day.
        """
        CREATE TABLE repeat (
            fingerprint bytea PRIMARY KEY,
            message bigint NOT NULL,
            -- Of a request with an idempotency key: what was asked, and when it was accepted.
            content bytea,
            accepted_at bigint
        )
        """,
        "CREATE TABLE repeat_key (bytes bytea NOT NULL, former_until bigint)",
        """
        INSERT INTO repeat_key (bytes)
        SELECT substr(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), 1, 16)
        """,
        """
        CREATE TABLE lane_status (
            lane text COLLATE "C" NOT NULL,
            node bigint NOT NULL,
            held_because text COLLATE "C",
            since bigint NOT NULL,
            rate double precision,
            PRIMARY KEY (lane, node)
        )
        """,
        // The total size of test messages' bodies, and up to where the oldest have been deleted.
        """
        CREATE TABLE simulated_bodies (
            bytes bigint NOT NULL,
            ended_at bigint NOT NULL,
            delivery bigint NOT NULL
        )
        """,
        "INSERT INTO simulated_bodies (bytes, ended_at, delivery) VALUES (0, 0, 0)",
        """
        CREATE TABLE event (
            message bigint NOT NULL,
            -- As in the envelope.
            recipient text COLLATE "C" NOT NULL,
            kind text COLLATE "C" NOT NULL,
            at bigint NOT NULL,
            bounce_type text COLLATE "C",
            subtype text COLLATE "C",
            diagnostic text COLLATE "C",
            server text COLLATE "C",
            feedback_id text COLLATE "C",
            PRIMARY KEY (message, recipient, kind, at)
        )
        """,
        "CREATE INDEX event_rare ON event (kind, message) WHERE kind <> 'delivered'",
        """
        CREATE TABLE waiting_event (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            ses_message_id text COLLATE "C" NOT NULL,
            received_at bigint NOT NULL,
            recipient text COLLATE "C" NOT NULL,
            kind text COLLATE "C" NOT NULL,
            at bigint NOT NULL,
            bounce_type text COLLATE "C",
            subtype text COLLATE "C",
            diagnostic text COLLATE "C",
            server text COLLATE "C",
            feedback_id text COLLATE "C"
        )
        """,
        """
        CREATE TABLE feedback_status (
            last_report_at bigint,
            last_answer_at bigint,
            failure text COLLATE "C",
            failing_since bigint
        )
        """,
        "INSERT INTO feedback_status DEFAULT VALUES",
        """
        CREATE TABLE suppression (
            environment text COLLATE "C" NOT NULL,
            -- The address in lower case.
            match_key text COLLATE "C" NOT NULL,
            address text COLLATE "C" NOT NULL,
            reason text COLLATE "C" NOT NULL,
            created_at bigint NOT NULL,
            message bigint,
            note text COLLATE "C",
            PRIMARY KEY (environment, match_key)
        )
        """,
        """
        CREATE TABLE undelivered (
            message bigint NOT NULL,
            recipient text COLLATE "C" NOT NULL,
            kind text COLLATE "C" NOT NULL,
            at bigint NOT NULL,
            -- When it came on record.
            since bigint NOT NULL,
            reason text COLLATE "C",
            diagnostic text COLLATE "C",
            PRIMARY KEY (message, recipient)
        )
        """,
        "CREATE INDEX undelivered_by_age ON undelivered (since, message)",
        """
        CREATE TABLE webhook (
            id text COLLATE "C" PRIMARY KEY,
            key text COLLATE "C" NOT NULL,
            url text COLLATE "C" NOT NULL,
            -- Separated by blanks; empty: all.
            events text COLLATE "C" NOT NULL,
            -- Separated by line feeds; null: any.
            tags text COLLATE "C",
            enabled boolean NOT NULL,
            disabled_because text COLLATE "C",
            created_at bigint NOT NULL,
            secret bytea NOT NULL,
            previous_secret bytea,
            previous_secret_until bigint,
            failing_since bigint
        )
        """,
        "CREATE INDEX webhook_by_key ON webhook (key, created_at)",
        """
        CREATE TABLE webhook_call (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            webhook text COLLATE "C" NOT NULL,
            event text COLLATE "C" NOT NULL,
            type text COLLATE "C" NOT NULL,
            body bytea NOT NULL,
            created_at bigint NOT NULL,
            state text COLLATE "C" NOT NULL,
            attempts bigint NOT NULL DEFAULT 0,
            next_attempt_at bigint NOT NULL,
            last_attempt_at bigint,
            last_duration bigint,
            last_status bigint,
            last_response text COLLATE "C"
        )
        """,
        // The index includes the id, so that calls of the same moment are read in order without being sorted.
        "CREATE INDEX webhook_call_waiting ON webhook_call (webhook, next_attempt_at, id) WHERE state = 'waiting'",
        "CREATE INDEX webhook_call_age ON webhook_call (webhook, created_at) WHERE state = 'waiting'",
        "CREATE INDEX webhook_call_by_webhook ON webhook_call (webhook, id)",
        "CREATE INDEX webhook_call_ended ON webhook_call (created_at) WHERE state <> 'waiting'",
        // The SHA-256 of secrets that sign an operator in: links, which work once, and sessions.
        "CREATE TABLE operator_login (digest bytea PRIMARY KEY, ends_at bigint NOT NULL)",
        "CREATE TABLE operator_session (digest bytea PRIMARY KEY, ends_at bigint NOT NULL)",
        // The words of messages' recipients and subjects.
        "CREATE TABLE message_words (message bigint PRIMARY KEY, words tsvector NOT NULL)",
        "CREATE INDEX message_words_by_word ON message_words USING gin (words)",
        // The delivery up to which messages have been added to the index.
        "CREATE TABLE words_position (delivery bigint NOT NULL)",
        "INSERT INTO words_position (delivery) VALUES (0)",
        // Work that one relay at a time does for all: which relay has it, and until when.
        """
        CREATE TABLE task (
            name text COLLATE "C" PRIMARY KEY,
            node bigint NOT NULL,
            until bigint NOT NULL
        )
        """,
    ]

    /// Templates, and the outcome of messages by template and tag.
    private static let templates = [
        // The template with its version: tpl_...@3. Null if the message was made from no template.
        "ALTER TABLE message ADD COLUMN template text COLLATE \"C\"",
        // True if the delivery's message has a template or tags, so that the delivery's end counts in the statistics.
        // Otherwise null.
        "ALTER TABLE delivery ADD COLUMN counted boolean",
        """
        UPDATE delivery SET counted = true FROM message
        WHERE ended_at IS NULL AND message.id = delivery.message AND message.tags IS NOT NULL
        """,
        """
        CREATE TABLE template (
            id text COLLATE "C" PRIMARY KEY,
            -- The id of the key that owns it; empty: shared.
            owner text COLLATE "C" NOT NULL,
            name text COLLATE "C" NOT NULL,
            -- In lower case.
            name_key text COLLATE "C" NOT NULL,
            -- The latest.
            version bigint NOT NULL,
            created_at bigint NOT NULL,
            updated_at bigint NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX template_by_name ON template (owner, name_key)",
        """
        CREATE TABLE template_version (
            template text COLLATE "C" NOT NULL,
            version bigint NOT NULL,
            created_at bigint NOT NULL,
            created_by text COLLATE "C",
            subject bytea,
            -- JSON.
            variables bytea NOT NULL,
            sender text COLLATE "C",
            -- Separated by line feeds; null: none.
            reply_to text COLLATE "C",
            html bytea,
            text bytea,
            PRIMARY KEY (template, version)
        )
        """,
        // Counts of recipients by key, template or tag, and UTC day. Each relay has its own rows, so that no relay
        // waits for another. The empty name counts all names beyond the limit.
        """
        CREATE TABLE statistic (
            key text COLLATE "C" NOT NULL,
            kind text COLLATE "C" NOT NULL,
            day bigint NOT NULL,
            name text COLLATE "C" NOT NULL,
            node bigint NOT NULL,
            sent bigint NOT NULL,
            delivered bigint NOT NULL,
            bounced bigint NOT NULL,
            complained bigint NOT NULL,
            PRIMARY KEY (key, kind, day, name, node)
        ) WITH (fillfactor = 50)
        """,
        "CREATE INDEX statistic_by_name ON statistic (kind, name, day)",
        "CREATE INDEX statistic_by_day ON statistic (day)",
        """
        CREATE TABLE simulated_domain (
            name text COLLATE "C" PRIMARY KEY,
            created_at bigint NOT NULL,
            created_by text COLLATE "C",
            token_seed bytea NOT NULL,
            verified_at bigint
        )
        """,
    ]

    /// Several rows for the counts of a day: see ``CountSlots``.
    private static let slots = [
        "ALTER TABLE usage ADD COLUMN slot bigint NOT NULL DEFAULT 0",
        "ALTER TABLE usage DROP CONSTRAINT usage_pkey",
        "ALTER TABLE usage ADD PRIMARY KEY (key, day, node, slot)",
        // Each relay has its own rows, so that none waits for another.
        """
        ALTER TABLE feedback_by_day ADD COLUMN node bigint NOT NULL DEFAULT 0, ADD COLUMN slot bigint NOT NULL DEFAULT 0
        """,
        "ALTER TABLE feedback_by_day DROP CONSTRAINT feedback_by_day_pkey",
        "ALTER TABLE feedback_by_day ADD PRIMARY KEY (environment, day, node, slot)",
    ]
}
