import RelayCore

/// The rates of keys, which all relays on the database share: a bucket for each key, by the server's clock.
///
/// The emails that a relay takes leave the bucket at once, whether they are used or not. A change of a bucket does not
/// wait for the disk: a server that takes over may lack the changes of the last moment, so those emails may be taken a
/// second time.
struct KeyRates: SharedRates {
    let thread: ConnectionThread
    let clock: any RelayClock

    func take(
        _ emails: Int, most: Int, key: KeyID, limits: SendingLimits, maximumWait: Double,
        completion: @escaping @Sendable (Result<SharedRateAnswer, any Error>) -> Void
    ) {
        thread.run(within: .seconds(5)) { connection in
            try connection.transaction(isDurable: false) {
                var row = try KeyRateRow.locked(key, limits, in: connection)
                let answer = row.take(emails, most: most, limits: limits, maximumWait: maximumWait)
                if answer.taken > 0 { try row.write(key, in: connection) }
                return answer
            }
        } completion: { result in
            completion(result.mapError { StoreError($0) as any Error })
        }
    }

    func giveBack(_ emails: Int, since: MonotonicTime, key: KeyID, limits: SendingLimits) {
        thread.run(within: .seconds(5)) { connection in
            try connection.transaction(isDurable: false) {
                var row = try KeyRateRow.locked(key, limits, in: connection)
                // The clock is read after the row has arrived. So the age includes the time until the server read its
                // own clock, and never too much is given back.
                row.giveBack(emails, age: clock.monotonicNow().seconds(since: since), limits: limits)
                try row.write(key, in: connection)
            }
        } completion: { _ in
            // Emails that can't be given back are lost: the key sends slightly less.
        }
    }
}

/// A row of `key_rate` at one moment of the server's clock.
///
/// Relays may hold emails that they have taken ahead. A bucket that filled up in the meantime would allow its burst in
/// addition to these. So the held emails count as if they were in the bucket, for as long as they may be spent.
struct KeyRateRow {
    private(set) var bucket: TokenBucket
    private(set) var ahead: Int
    private(set) var aheadUntil: Double
    private let now: MonotonicTime

    /// How long emails that were taken ahead may be spent, in seconds. All of them expire together, so one number is
    /// enough for the total.
    static let aheadLasts = 0.5

    init(bucket: TokenBucket, ahead: Int = 0, aheadUntil: Double = 0, now: MonotonicTime) {
        self.bucket = bucket
        self.now = now
        self.ahead = ahead
        self.aheadUntil = aheadUntil
    }

    /// Forgets emails that were taken ahead once their time is over. Until then the bucket has no room for them,
    /// because they may be spent at the last moment.
    private mutating func expire(_ limits: SendingLimits) {
        guard now.seconds >= aheadUntil else { return }
        if ahead > 0 {
            let end = MonotonicTime(seconds: aheadUntil)
            bucket.learn(bucket.available(limits: room(limits), at: end), limits: limits, at: end)
            ahead = 0
        }
        aheadUntil = now.seconds + KeyRateRow.aheadLasts
    }

    mutating func take(
        _ emails: Int, most: Int, limits: SendingLimits, maximumWait: Double
    ) -> SharedRateAnswer {
        expire(limits)
        let inBucket = room(limits)
        let available = bucket.available(limits: inBucket, at: now)
        let answer = bucket.take(emails, limits: inBucket, at: now, maximumWait: maximumWait)
        let lasts = aheadUntil - now.seconds
        if case .refuse = answer { return SharedRateAnswer(answer: answer, taken: 0, aheadLasts: lasts) }
        guard answer == .go else { return SharedRateAnswer(answer: answer, taken: emails, aheadLasts: lasts) }
        // Emails are taken ahead only as far as they are available now, and at most half of what the key may send at
        // once: the rest is for clients of other relays.
        let more = max(0, min(most - emails, Int(available) - emails, Int(limits.capacity / 2) - ahead))
        if more > 0 {
            _ = bucket.take(more, limits: inBucket, at: now, maximumWait: 0)
            ahead += more
        }
        return SharedRateAnswer(answer: answer, taken: emails + more, aheadLasts: lasts)
    }

    /// Takes back emails that were not used.
    ///
    /// - Parameter age: how many seconds ago the rate could begin to refill the place of these emails. If it is
    ///   negative, the emails were taken ahead, and expire after that many seconds; until then, they count as if they
    ///   were in the bucket.
    mutating func giveBack(_ emails: Int, age: Double, limits: SendingLimits) {
        expire(limits)
        if age < 0 { ahead = max(0, ahead - emails) }
        bucket.giveBack(emails, takenAt: now.advanced(bySeconds: -max(0, age)), limits: room(limits), at: now)
    }

    /// The limits, with the bucket's capacity reduced by the emails that relays hold.
    private func room(_ limits: SendingLimits) -> SendingLimits {
        guard ahead > 0 else { return limits }
        var limits = limits
        limits.burst = max(1, Int(limits.capacity) - ahead)
        return limits
    }

    // MARK: In the database

    /// The current row, locked. It is created if there is none.
    static func locked(_ key: KeyID, _ limits: SendingLimits, in connection: Connection) throws -> KeyRateRow {
        let select = """
            SELECT bucket_tokens, updated_at, extract(epoch FROM clock_timestamp())::double precision, ahead, ahead_until
            FROM key_rate WHERE key = $1 FOR UPDATE
            """
        func find() throws -> KeyRateRow? {
            try connection.first(select, [key.text]) { row in
                KeyRateRow(
                    bucket: TokenBucket(
                        tokens: row.real(0) ?? 0, updatedAt: MonotonicTime(seconds: row.real(1) ?? 0)),
                    ahead: Int(row.integer(3) ?? 0), aheadUntil: row.real(4) ?? 0,
                    now: MonotonicTime(seconds: row.real(2) ?? 0))
            }
        }
        if let found = try find() { return found }
        try connection.queue(
            """
            INSERT INTO key_rate (key, bucket_tokens, updated_at)
            VALUES ($1, $2, extract(epoch FROM clock_timestamp())::double precision) ON CONFLICT DO NOTHING
            """, [key.text, limits.capacity])
        guard let made = try find() else { throw StoreError.corrupt("the row of a key's rate is missing") }
        return made
    }

    func write(_ key: KeyID, in connection: Connection) throws {
        try connection.queue(
            """
            UPDATE key_rate SET bucket_tokens = $2, updated_at = $3, ahead = $4, ahead_until = $5 WHERE key = $1
            """, [key.text, bucket.tokens, bucket.updatedAt.seconds, ahead, aheadUntil])
    }
}

extension PostgreSQLStore {
    public var rates: (any SharedRates)? { membership == nil ? nil : KeyRates(thread: keyRates, clock: SystemClock()) }
}
