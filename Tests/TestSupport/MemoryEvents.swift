import RelayCore

/// Keeps in memory what happened to messages.
struct MemoryEvents: Sendable {
    struct Address: Hashable, Sendable {
        var environment: Environment
        var matchKey: String

        init(_ environment: Environment, _ address: String) {
            self.environment = environment
            matchKey = Suppression.matchKey(address)
        }
    }

    var events: [MessageID: [ReportedEvent]] = [:]
    var waiting: [(report: FeedbackReport, since: Timestamp)] = []
    var status = FeedbackStatus()
    var counts: [KeyID: [Int64: FeedbackCounts]] = [:]
    var suppressions: [Address: Suppression] = [:]
    /// Undelivered recipients, each with the time at which it was recorded.
    var undelivered: [MessageID: [String: (recipient: UndeliveredRecipient, since: Timestamp)]] = [:]
    var webhooks: [WebhookID: Webhook] = [:]
    var calls: [Int64: WebhookCallRecord] = [:]
    var lastCall: Int64 = 0

    /// Returns whether the entry is new.
    mutating func add(_ entry: Suppression) -> Bool {
        let address = Address(entry.environment, entry.address)
        guard var before = suppressions[address] else {
            suppressions[address] = entry
            return true
        }
        let reason = Suppression.weightier(before.reason, entry.reason)
        if reason != before.reason {
            (before.reason, before.message, before.note) = (reason, entry.message, entry.note)
        }
        suppressions[address] = before
        return false
    }

    mutating func queue(_ call: WebhookCall, due: Timestamp) -> Int64 {
        lastCall += 1
        var call = call
        call.id = lastCall
        calls[lastCall] = WebhookCallRecord(
            call: call, state: .waiting, nextAttemptAt: due, lastAttemptAt: nil, lastDuration: nil, lastStatus: nil,
            lastResponse: nil)
        return lastCall
    }
}

extension MemoryTables {
    func facts(_ message: MessageID) -> MessageFacts? {
        messages[message].map { found in
            MessageFacts(
                id: message, key: found.submission.key, environment: found.lane,
                reversePath: found.submission.envelope.reversePath, subject: found.submission.subject,
                tags: found.submission.tags, isAutomatic: found.submission.isAutomatic,
                template: found.submission.template)
        }
    }

    /// Returns whether the event is new, and whether it put the recipient on the suppression list.
    mutating func add(
        _ event: RecipientEvent, of recipient: String, _ message: MessageFacts, sesMessageID: String?, now: Timestamp
    ) -> (isNew: Bool, suppresses: Bool) {
        let known = told.events[message.id, default: []]
        guard
            !known.contains(where: {
                $0.recipient == recipient && $0.event.kind == event.kind && $0.event.at == event.at
            })
        else { return (false, false) }
        var event = event
        event.detail = event.detail.bounded
        told.events[message.id, default: []].append(ReportedEvent(event, of: recipient))
        told.events[message.id]?.sort { ($0.event.at, $0.recipient) < ($1.event.at, $1.recipient) }
        let isFirst = !known.contains { $0.recipient == recipient && $0.event.kind == event.kind }
        if isFirst, StatisticsKind.counts(reported: event.kind) {
            count(event.kind, recipients: 1, of: message, at: event.at, now: now)
        }
        let day = min(event.at.day, now.day).number
        told.counts[message.key, default: [:]][day, default: FeedbackCounts()].count(event)
        return (true, follow(event, of: recipient, message, sesMessageID: sesMessageID, now: now))
    }

    private mutating func follow(
        _ event: RecipientEvent, of recipient: String, _ message: MessageFacts, sesMessageID: String?, now: Timestamp
    ) -> Bool {
        let consequences = EventConsequences(
            of: event, recipient: recipient, message, reports: senderReports, now: now)
        let suppresses = consequences.suppression.map { told.add($0) } ?? false
        if let undelivered = consequences.undelivered,
            told.undelivered[message.id]?[undelivered.address] == nil
        {
            told.undelivered[message.id, default: [:]][undelivered.address] = (undelivered, now)
        }
        guard let name = WebhookEvent(event.kind),
            let payload = WebhookPayload(
                event, of: recipient,
                .init(
                    id: message.id, from: message.reversePath, subject: message.subject, tags: message.tags,
                    sesMessageID: sesMessageID))
        else { return suppresses }
        for webhook in told.webhooks.values.sorted(by: { $0.id.text < $1.id.text })
        where hears(webhook, message) && webhook.wants(name, tags: message.tags) {
            _ = told.queue(
                WebhookCall(
                    id: 0, webhook: webhook.id, event: payload.id, type: name.rawValue, body: payload.body,
                    createdAt: now, attempts: 0), due: now)
        }
        return suppresses
    }

    private func hears(_ webhook: Webhook, _ message: MessageFacts) -> Bool {
        guard let key = keys[webhook.key]?.stored.key, key.revokedAt == nil else { return false }
        return key.id == message.key || key.webhooksForAll && key.environment == message.environment
    }

    mutating func tell(
        _ change: DeliveryChange, of delivery: DeliveryID, at time: Timestamp, _ reported: [ReportedEvent] = []
    ) {
        guard let row = deliveries[delivery], let message = facts(row.delivery.message) else { return }
        if let event = change.event(at: time) {
            let others = row.delivery.envelope.recipients.filter { !row.suppressed.contains($0) }
            if event.kind == .sent {
                count(.sent, recipients: others.count, of: message, at: time, now: time)
            }
            for recipient in others {
                _ = follow(event, of: recipient, message, sesMessageID: row.sesMessageID, now: time)
            }
        }
        for told in reported {
            _ = add(told.event, of: told.recipient, message, sesMessageID: row.sesMessageID, now: time)
        }
    }

    /// Returns false if no message is known for the report.
    mutating func record(_ report: FeedbackReport, _ outcome: inout FeedbackOutcome, now: Timestamp) -> Bool {
        guard
            let row = deliveries.values.first(where: {
                $0.delivery.lane == .live && $0.sesMessageID == report.sesMessageID
            }), let message = facts(row.delivery.message)
        else { return false }
        guard let recipient = report.recipient(among: row.delivery.envelope.recipients) else {
            outcome.unknownRecipients += 1
            return true
        }
        let (isNew, suppresses) = add(
            report.event, of: recipient, message, sesMessageID: report.sesMessageID, now: now)
        if isNew { outcome.recorded[report.event.kind, default: 0] += 1 } else { outcome.repeated += 1 }
        if suppresses { outcome.suppressed += 1 }
        return true
    }

    mutating func matchWaiting(now: Timestamp) -> FeedbackOutcome? {
        guard !told.waiting.isEmpty else { return nil }
        var outcome = FeedbackOutcome()
        var rest: [(report: FeedbackReport, since: Timestamp)] = []
        for entry in told.waiting {
            if record(entry.report, &outcome, now: now) { continue }
            if entry.since < now - Feedback.memory { outcome.expired += 1 } else { rest.append(entry) }
        }
        told.waiting = rest
        outcome.waiting = rest.count
        return outcome
    }
}

// MARK: Feedback

extension MemoryStore {
    public func record(_ reports: [FeedbackReport], now: Timestamp) async throws -> FeedbackOutcome {
        tables { tables in
            var outcome = FeedbackOutcome()
            for report in reports where !tables.record(report, &outcome, now: now) {
                tables.told.waiting.append((report, now))
                outcome.waiting += 1
            }
            outcome.crowdedOut = max(0, tables.told.waiting.count - Feedback.mostWaiting)
            tables.told.waiting.removeFirst(outcome.crowdedOut)
            return outcome
        }
    }

    public func matchWaiting(now: Timestamp) async throws -> FeedbackOutcome? { tables { $0.matchWaiting(now: now) } }

    public func feedbackStatus() async throws -> FeedbackStatus {
        tables { tables in
            var status = tables.told.status
            status.waiting = tables.told.waiting.count
            return status
        }
    }

    public func record(_ status: FeedbackStatus) async throws {
        tables { tables in
            let before = tables.told.status
            tables.told.status = status
            tables.told.status.lastReportAt = status.lastReportAt ?? before.lastReportAt
            tables.told.status.lastAnswerAt = status.lastAnswerAt ?? before.lastAnswerAt
        }
    }

    public func feedbackTimes() async throws -> (lastEvent: Timestamp?, lastSent: Timestamp?) {
        tables { tables in
            (
                tables.told.status.lastReportAt,
                tables.deliveries.values.filter { $0.state == .sent }.compactMap(\.endedAt).max()
            )
        }
    }
}

// MARK: Suppressions

extension MemoryStore {
    public func suppressions(_ filter: SuppressionFilter) async throws -> [Suppression] {
        func order(_ environment: Environment, _ key: String) -> (String, String) { (environment.rawValue, key) }
        return Array(
            tables { $0.told.suppressions }.sorted {
                order($0.key.environment, $0.key.matchKey) < order($1.key.environment, $1.key.matchKey)
            }.filter { address, entry in
                (filter.environment.map { $0 == entry.environment } ?? true)
                    && (filter.reason.map { $0 == entry.reason } ?? true)
                    && (filter.search.map { address.matchKey.contains(Suppression.matchKey($0)) } ?? true)
                    && (filter.after.map {
                        order(address.environment, address.matchKey) > order($0.environment, $0.matchKey)
                    } ?? true)
            }.map(\.value).prefix(filter.limit))
    }

    public func suppression(of address: String, in environment: Environment) async throws -> Suppression? {
        tables { $0.told.suppressions[.init(environment, address)] }
    }

    public func add(_ suppressions: [Suppression]) async throws -> Int {
        tables { tables in suppressions.reduce(0) { $0 + (tables.told.add($1) ? 1 : 0) } }
    }

    public func removeSuppression(
        of address: String, in environment: Environment, evenComplaint: Bool
    ) async throws -> SuppressionRemoval {
        tables { tables in
            guard let found = tables.told.suppressions[.init(environment, address)] else { return .notListed }
            guard evenComplaint || found.reason != .complaint else { return .isComplaint }
            tables.told.suppressions[.init(environment, address)] = nil
            return .removed(found)
        }
    }
}

// MARK: Reports to senders

extension MemoryStore {
    public var senderReports: SenderReports {
        get { tables { $0.senderReports } }
        set { tables { $0.senderReports = newValue } }
    }

    public func dueSenderReports(limit: Int, now: Timestamp) async throws -> [DueSenderReport] {
        tables { tables in
            let due = tables.told.undelivered.filter { message, recipients in
                let times = recipients.values.map(\.since)
                guard let first = times.min(), let last = times.max(), last <= now - DueSenderReport.shortestWait else {
                    return false
                }
                let isUnderWay = tables.parts(of: message).contains { $0.state == .queued || $0.state == .sending }
                return first <= now - DueSenderReport.longestWait || !isUnderWay
            }
            let records = tables.records(MessageFilter(ids: Array(due.keys)), now: now)
            return records.map { record in
                DueSenderReport(
                    message: record,
                    recipients: record.recipients.compactMap { due[record.id]?[$0]?.recipient })
            }.prefix(limit).map { $0 }
        }
    }

    public func nextSenderReport() async throws -> Timestamp? {
        tables { $0.told.undelivered.values.flatMap(\.values).map(\.since).min() }
            .map { $0 + DueSenderReport.shortestWait }
    }

    public func accept(
        report: Submission, of message: MessageID, recipients: [String], now: Timestamp
    ) async throws -> SenderReportAcceptance {
        try tables { tables in
            guard let facts = tables.facts(message) else { throw StoreError.noSuchMessage(message) }
            let due = tables.told.undelivered[message] ?? [:]
            guard recipients.allSatisfy({ due[$0] != nil }) else { return .overtaken }
            tables.forget(message, recipients)
            tables.insert(report, facts.environment, [:])
            return .accepted
        }
    }

    public func forgetSenderReport(of message: MessageID, recipients: [String]) async throws {
        tables { $0.forget(message, recipients) }
    }
}

extension MemoryTables {
    fileprivate mutating func forget(_ message: MessageID, _ recipients: [String]) {
        for recipient in recipients { told.undelivered[message]?[recipient] = nil }
        if told.undelivered[message]?.isEmpty ?? false { told.undelivered[message] = nil }
        if messages[message]?.lane == .live { dropBody(of: message) }
    }
}

// MARK: Webhooks

extension MemoryStore {
    public func insert(_ webhook: Webhook) async throws -> Bool {
        tables { tables in
            guard tables.told.webhooks.values.filter({ $0.key == webhook.key }).count < Webhook.mostOfKey else {
                return false
            }
            tables.told.webhooks[webhook.id] = webhook
            return true
        }
    }

    public func webhooks(of key: KeyID?) async throws -> [Webhook] {
        tables { $0.told.webhooks.values.filter { key == nil || $0.key == key } }
            .sorted { ($0.createdAt, $0.id.text) < ($1.createdAt, $1.id.text) }
    }

    public func webhook(_ id: WebhookID) async throws -> Webhook? { tables { $0.told.webhooks[id] } }

    public func update(
        _ id: WebhookID, _ change: @escaping @Sendable (inout Webhook) -> Void
    ) async throws -> Webhook? {
        tables { tables in
            guard var webhook = tables.told.webhooks[id] else { return nil }
            let wasEnabled = webhook.isEnabled
            change(&webhook)
            webhook.enabledAgain(after: wasEnabled)
            tables.told.webhooks[id] = webhook
            return webhook
        }
    }

    public func deleteWebhook(_ id: WebhookID) async throws -> Bool {
        tables { tables in
            tables.told.calls = tables.told.calls.filter { $0.value.call.webhook != id }
            return tables.told.webhooks.removeValue(forKey: id) != nil
        }
    }

    public func statistics(of id: WebhookID, now: Timestamp) async throws -> WebhookStatistics {
        let calls = tables { $0.told.calls.values.filter { $0.call.webhook == id } }.sorted { $0.call.id > $1.call.id }
        func since(_ span: Duration) -> [WebhookCallRecord] {
            calls.filter { $0.call.createdAt >= now - span && $0.call.attempts > 0 }
        }
        let (day, week) = (since(.seconds(86_400)), since(.seconds(7 * 86_400)))
        var statistics = WebhookStatistics()
        statistics.calls24Hours = day.count
        statistics.delivered24Hours = day.filter { $0.state == .delivered }.count
        statistics.calls7Days = week.count
        statistics.delivered7Days = week.filter { $0.state == .delivered }.count
        let durations = day.filter { $0.state == .delivered }.compactMap(\.lastDuration)
        if !durations.isEmpty { statistics.latency = durations.reduce(.zero, +) / durations.count }
        statistics.waiting = calls.filter { $0.state == .waiting }.count
        statistics.lastSuccess = calls.first { $0.state == .delivered }
        statistics.lastFailure = calls.first { $0.state != .delivered && $0.call.attempts > 0 }
        return statistics
    }

    public func calls(of id: WebhookID, before: Int64?, limit: Int) async throws -> [WebhookCallRecord] {
        Array(
            tables { $0.told.calls.values.filter { $0.call.webhook == id && $0.call.id < before ?? .max } }
                .sorted { $0.call.id > $1.call.id }.prefix(limit))
    }

    public func insert(_ call: WebhookCall, now: Timestamp) async throws -> Int64 {
        tables { $0.told.queue(call, due: now) }
    }

    public func claimCalls(
        limit: Int, room: [WebhookID: Int], otherwise: Int, ofFailing: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> [(call: WebhookCall, webhook: Webhook)] {
        tables { tables in
            var claimed: [(call: WebhookCall, webhook: Webhook)] = []
            var taken: [WebhookID: Int] = [:]
            var placesOfFailing = ofFailing
            let due = tables.waitingCalls.filter { $0.nextAttemptAt ?? now <= now }
            for record in due where claimed.count < limit {
                guard let webhook = tables.told.webhooks[record.call.webhook],
                    taken[webhook.id, default: 0] < room[webhook.id] ?? otherwise
                else { continue }
                if webhook.failingSince != nil {
                    guard taken[webhook.id] == nil, placesOfFailing > 0 else { continue }
                    placesOfFailing -= 1
                }
                taken[webhook.id, default: 0] += 1
                tables.told.calls[record.call.id]?.nextAttemptAt = leaseUntil
                claimed.append((record.call, webhook))
            }
            return claimed
        }
    }

    public func settle(_ attempts: [WebhookAttempt], now: Timestamp) async throws -> [Webhook] {
        tables { tables in
            attempts.compactMap { attempt in
                tables.record(attempt)
                guard var webhook = tables.told.webhooks[attempt.webhook] else { return nil }
                let wasEnabled = webhook.isEnabled
                webhook.tried(attempt)
                tables.told.webhooks[attempt.webhook] = webhook
                return wasEnabled && !webhook.isEnabled ? webhook : nil
            }
        }
    }

    public func beginCalling(now: Timestamp) async throws {
        tables { tables in
            for id in tables.told.webhooks.keys where tables.told.webhooks[id]?.failingSince != nil {
                tables.told.webhooks[id]?.failingSince = now
            }
        }
    }

    public func nextCall() async throws -> Timestamp? { tables { $0.waitingCalls.compactMap(\.nextAttemptAt).min() } }

    public func webhookBacklog() async throws -> (waiting: Int, disabled: Int) {
        tables { tables in
            (
                tables.told.calls.values.filter { $0.state == .waiting }.count,
                tables.told.webhooks.values.filter { !$0.isEnabled && $0.disabledBecause != nil }.count
            )
        }
    }

    public func pruneCalls(now: Timestamp) async throws -> Bool {
        tables { tables in
            for (id, record) in tables.told.calls {
                let isActive = tables.isActive(record.call.webhook)
                if record.state != .waiting {
                    if record.call.createdAt < now - keptCalls { tables.told.calls[id] = nil }
                } else if record.call.createdAt < now - (isActive ? Webhook.timeout * 2 : Webhook.timeout) {
                    tables.told.calls[id]?.state = .failed
                    tables.told.calls[id]?.nextAttemptAt = nil
                }
            }
            return false
        }
    }
}

extension MemoryTables {
    fileprivate func isActive(_ webhook: WebhookID) -> Bool {
        guard let webhook = told.webhooks[webhook], let key = keys[webhook.key]?.stored.key else { return false }
        return webhook.isEnabled && key.revokedAt == nil
    }

    /// The waiting calls of active webhooks. The call that has been due longest is the first.
    fileprivate var waitingCalls: [WebhookCallRecord] {
        told.calls.values.filter { $0.state == .waiting && isActive($0.call.webhook) }.sorted {
            ($0.nextAttemptAt?.milliseconds ?? 0, $0.call.id) < ($1.nextAttemptAt?.milliseconds ?? 0, $1.call.id)
        }
    }

    fileprivate mutating func record(_ attempt: WebhookAttempt) {
        guard var record = told.calls[attempt.call], record.state == .waiting else { return }
        record.call.attempts += 1
        record.lastAttemptAt = attempt.startedAt
        record.lastDuration = attempt.finishedAt - attempt.startedAt
        (record.lastStatus, record.lastResponse) = (attempt.status, attempt.response)
        switch attempt.verdict {
        case .delivered: (record.state, record.nextAttemptAt) = (.delivered, nil)
        case .retry(let time): record.nextAttemptAt = time
        case .failed, .gone: (record.state, record.nextAttemptAt) = (.failed, nil)
        }
        told.calls[attempt.call] = record
    }
}
