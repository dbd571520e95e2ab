import RelayCore

/// Inserts the rows of messages that are put into the queue: one statement for each table, however many messages there
/// are.
enum SubmissionRows {
    /// The statements are only queued, and sent with the next one or with COMMIT.
    static func insert(_ accepted: [(submission: Submission, lane: Lane)], in connection: Connection) throws {
        guard !accepted.isEmpty else { return }
        let submissions = accepted.map(\.submission)
        try connection.queue(
            """
            INSERT INTO message (id, key, lane, client, reverse_path, subject, size, accepted_at, tags, automatic,
                template)
            SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            """,
            [
                submissions.map(\.id.rawValue), submissions.map(\.key.text), accepted.map(\.lane.rawValue),
                submissions.map { Bytes($0.client.bytes) }, submissions.map(\.envelope.reversePath),
                submissions.map(\.subject), submissions.map(\.body.size), submissions.map(\.acceptedAt),
                submissions.map { TagList.text($0.tags) }, submissions.map(\.isAutomatic),
                submissions.map { $0.template?.description },
            ])
        try insertBodies(submissions, in: connection)
        try insertDeliveries(accepted, in: connection)
        let tags = submissions.flatMap { submission in submission.tags.map { (submission, $0) } }
        guard !tags.isEmpty else { return }
        try connection.queue(
            "INSERT INTO tag (key, tag, message) SELECT * FROM unnest($1, $2, $3)",
            [tags.map(\.0.key.text), tags.map(\.1), tags.map(\.0.id.rawValue)])
    }

    private static func insertBodies(_ submissions: [Submission], in connection: Connection) throws {
        var inline: [(message: Int64, bytes: Bytes)] = []
        var spooled: [Int64] = []
        for submission in submissions {
            switch submission.body {
            case .inline(let bytes): inline.append((submission.id.rawValue, Bytes(bytes)))
            case .spooled: spooled.append(submission.id.rawValue)
            }
        }
        if !inline.isEmpty {
            try connection.queue(
                "INSERT INTO body (message, part, bytes) SELECT message, 0, bytes FROM unnest($1, $2) AS x (message, bytes)",
                [inline.map(\.message), inline.map(\.bytes)])
        }
        if !spooled.isEmpty {
            // The parts of a large body exist already. From now on they belong to the message.
            try connection.queue("DELETE FROM staged_body WHERE message = ANY ($1)", [spooled])
        }
    }

    private static func insertDeliveries(
        _ accepted: [(submission: Submission, lane: Lane)], in connection: Connection
    ) throws {
        var rows: [(submission: Submission, lane: Lane, recipients: String)] = []
        for (submission, lane) in accepted {
            let recipients = submission.envelope.recipients
            for start in stride(from: 0, to: recipients.count, by: maximumRecipientsPerDelivery) {
                let part = recipients[start..<min(start + maximumRecipientsPerDelivery, recipients.count)]
                rows.append((submission, lane, RecipientList.text(part)))
            }
        }
        try connection.queue(
            """
            INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since, scheduled_at,
                counted)
            SELECT message, key, lane, recipients, 'queued', due, due, scheduled_at, counted
            FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
                AS x (message, key, lane, recipients, due, scheduled_at, counted, place)
            ORDER BY place
            """,
            [
                rows.map(\.submission.id.rawValue), rows.map(\.submission.key.text), rows.map(\.lane.rawValue),
                rows.map(\.recipients), rows.map(\.submission.due), rows.map(\.submission.waitsUntil),
                rows.map { $0.submission.isCounted ? true : nil as Bool? },
            ])
    }
}
