import RelayCore

// MARK: The list of keys

extension MemoryStore {
    public func keyRecords(_ filter: KeyFilter, now: Timestamp) async throws -> [KeyRecord] {
        func order(_ place: KeyFilter.Place) -> (Timestamp, String) { (place.createdAt, place.id.text) }
        let found = try await keyRecords(includingRevoked: filter.includesRevoked, now: now).reversed().filter {
            record in
            (filter.environment.map { $0 == record.key.environment } ?? true)
                && (filter.after.map { order(record.key.place) < order($0) } ?? true)
                && (filter.text.map { text in
                    let wanted = lowered(text)
                    return lowered(record.key.id.text).starts(with: wanted)
                        || contains(lowered(record.key.name), wanted)
                } ?? true)
        }
        return Array(found.prefix(filter.limit))
    }

    public func use(of keys: [KeyID], days: Int, now: Timestamp) async throws -> [KeyID: [KeyDay]] {
        let today = now.day.number
        return tables { tables in
            keys.reduce(into: [:]) { found, key in
                let (emails, counts) = (tables.keys[key]?.days ?? [:], tables.told.counts[key] ?? [:])
                let used = Set(emails.keys).union(counts.keys).filter { today - Int64(days) < $0 && $0 <= today }
                    .sorted()
                    .map { day in
                        KeyDay(
                            day: UTCDay(number: day), emails: emails[day] ?? 0,
                            feedback: counts[day] ?? FeedbackCounts()
                        )
                    }
                    .filter { $0.emails > 0 || $0.feedback != FeedbackCounts() }
                found[key] = used.isEmpty ? nil : used
            }
        }
    }
}

/// The octets of the text, with ASCII letters in lower case.
private func lowered(_ text: String) -> [UInt8] { text.utf8.map { 0x41...0x5A ~= $0 ? $0 + 0x20 : $0 } }

private func contains<T: Equatable>(_ whole: [T], _ part: [T]) -> Bool {
    part.isEmpty || whole.indices.contains { whole[$0...].starts(with: part) }
}

// MARK: Operators

extension MemoryStore {
    public func insertLogin(_ login: OperatorDigest, until: Timestamp, now: Timestamp) async throws {
        tables { tables in
            tables.logins = tables.logins.filter { $0.value > now }
            tables.sessions = tables.sessions.filter { $0.value > now }
            tables.logins[login] = until
        }
    }

    public func beginSession(
        _ session: OperatorDigest, until: Timestamp, redeeming login: OperatorDigest, now: Timestamp
    ) async throws -> Bool {
        tables { tables in
            guard let end = tables.logins[login], end > now else { return false }
            tables.logins[login] = nil
            tables.sessions[session] = until
            return true
        }
    }

    public func session(_ session: OperatorDigest, now: Timestamp) async throws -> Timestamp? {
        tables { $0.sessions[session].flatMap { $0 > now ? $0 : nil } }
    }

    public func endSession(_ session: OperatorDigest) async throws { tables { $0.sessions[session] = nil } }

    public func endSessions(now: Timestamp) async throws -> Int {
        tables { tables in
            let open = tables.sessions.values.filter { $0 > now }.count
            (tables.logins, tables.sessions) = ([:], [:])
            return open
        }
    }
}
