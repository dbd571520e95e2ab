import RelayCore

/// Decides what the queue's consumer does next: how many receivers run, what is recorded and deleted, and when to
/// pause.
///
/// It is a value without I/O, clock and tasks. The consumer reports what has happened, then calls ``next(at:)`` and
/// carries out the actions. A message is deleted only when its events are committed or when it contains none. Events
/// that were not committed are tried again. If the relay ends before that, their message comes again from the queue.
struct FeedbackMachine {
    /// A message that was taken from the queue.
    struct Message {
        var receipt: String
        var reading: QueueReading
    }

    enum Action: Equatable {
        /// Take at most this many messages.
        case receive(limit: Int)
        case record([FeedbackReport])
        case matchWaiting
        case delete([String])
        /// Record the state of the queue.
        case note(FeedbackStatus)
        case tell(FeedbackEvent)
        case log(FeedbackLine)
        /// Everything that had to be done before the end is done.
        case stop
    }

    private struct Item {
        var receipt: String
        var reports: [FeedbackReport]
        /// How often the store failed on this message alone.
        var failures = 0
    }

    private enum QueueOperation { case receive, delete }
    private enum StoreOperation { case record, match }

    /// The largest number of concurrent long polls while there is much to take. One is enough for waiting.
    static let mostReceivers = 8
    static let mostDeletions = 4
    /// The largest number of messages in memory, from when they are taken until they are deleted. Polls in progress can
    /// exceed it.
    static let mostInHand = 200
    /// After this many failures on its own, a message is left in the queue.
    static let mostFailures = 5
    /// The time between two transactions. If ``gathered`` messages wait, the next transaction begins earlier.
    static let gatherTime = Duration.milliseconds(100)
    static let gathered = 100
    static let matchPause = Duration.seconds(1)
    static let notePause = Duration.seconds(10)
    /// At the end, operations in progress get this much time.
    static let endTime = Duration.seconds(2)
    /// After an answer that was too long, messages are taken one at a time for this many calls.
    static let singles = 2 * SQSClient.batch

    private var queue = Outage<QueueOperation>(firstPause: .seconds(1), longestPause: .seconds(60))
    private var queueFailure: SQSFailure?
    private var store = Outage<StoreOperation>(firstPause: .seconds(1), longestPause: .seconds(30))

    private var receiving = 0
    private var wantedReceivers = 1
    private var singlesLeft = 0

    private var waiting: [Item] = []
    private var recording: [Item] = []
    /// No transaction begins before this time; only if many messages wait, one begins earlier. Each transaction is a
    /// disk sync, and mail that is being accepted waits for it.
    private var recordAt = MonotonicTime.distantPast
    /// The largest number of messages in one transaction. It is small after a failure, so that a message that the store
    /// can't take is found.
    private var recordLimit = Feedback.batch

    private var deletable: [String] = []
    /// The number of messages that are being deleted, and the number of calls that do this.
    private var deleting = 0
    private var deletions = 0

    private var isMatching = false
    /// Whether events may be waiting for their messages.
    private var hasWaiting = true
    private var matchAt = MonotonicTime.distantPast

    private var status = FeedbackStatus()
    private var isStatusNews = false
    private var isNoting = false
    private var noteAt = MonotonicTime.distantPast

    private var endsBy: MonotonicTime?
    private var lines = FeedbackLines()
    private var told: [Action] = []

    private var inHand: Int { waiting.count + recording.count + deletable.count + deleting }

    // MARK: Events

    mutating func received(_ messages: [Message], limit: Int, at now: MonotonicTime, _ wall: Timestamp) {
        receiving -= 1
        worked(.receive, at: now)
        status.lastAnswerAt = wall
        isStatusNews = true
        if limit == 1 { singlesLeft = max(0, singlesLeft - 1) }
        guard !messages.isEmpty else {
            wantedReceivers = 1
            return
        }
        status.lastReportAt = wall
        tell(.taken(messages: messages.count, at: wall))
        // SQS rarely fills an answer. An answer that is half full means that there is more.
        if messages.count * 2 >= limit { wantedReceivers = min(wantedReceivers * 2, FeedbackMachine.mostReceivers) }
        for message in messages { took(message, at: now) }
    }

    private mutating func took(_ message: Message, at now: MonotonicTime) {
        switch message.reading {
        case .reports(let reports):
            waiting.append(Item(receipt: message.receipt, reports: reports))
            return
        case .passedOver(let what):
            tell(.passedOver(what))
            if what == .subscriptionConfirmation { log(lines.subscription(at: now)) }
        case .unknownKind(let kind):
            tell(.unknownKind)
            log(lines.unknownKind(kind))
        case .malformed(let why):
            tell(.malformed)
            log(lines.malformed(why, at: now))
        }
        // The message was counted and logged, so it need not come again.
        deletable.append(message.receipt)
    }

    mutating func receiveFailed(_ failure: SQSFailure, limit: Int, at now: MonotonicTime, _ wall: Timestamp) {
        receiving -= 1
        if failure.kind == .tooLong, limit > 1 {
            singlesLeft = FeedbackMachine.singles
            return
        }
        failed(.receive, failure, at: now, wall)
    }

    mutating func recorded(_ outcome: FeedbackOutcome, at now: MonotonicTime) {
        worked(.record, at: now)
        recordAt = now + FeedbackMachine.gatherTime
        deletable += recording.map(\.receipt)
        recording = []
        recordLimit = min(recordLimit * 2, Feedback.batch)
        tell(.stored(outcome, matched: false))
        if outcome.waiting > 0, !hasWaiting {
            hasWaiting = true
            matchAt = now + FeedbackMachine.matchPause
        }
        if outcome.crowdedOut > 0 { log(lines.crowdedOut(outcome.crowdedOut, at: now)) }
    }

    mutating func recordFailed(_ why: String, at now: MonotonicTime) {
        failed(.record, why, at: now)
        guard recording.count == 1, var item = recording.first else {
            waiting = recording + waiting
            recording = []
            recordLimit = 1
            return
        }
        recording = []
        item.failures += 1
        if item.failures < FeedbackMachine.mostFailures {
            // Append the message at the end, because it must not delay the other messages.
            waiting.append(item)
        } else {
            tell(.leftAlone)
            log(lines.leftAlone(why, at: now))
        }
    }

    /// `outcome` is nil when nothing waits.
    mutating func matched(_ outcome: FeedbackOutcome?, at now: MonotonicTime) {
        isMatching = false
        worked(.match, at: now)
        guard let outcome else {
            hasWaiting = false
            tell(.stored(FeedbackOutcome(), matched: true))
            return
        }
        let found = outcome.recorded.values.reduce(0, +) + outcome.repeated + outcome.expired
        matchAt = found >= Feedback.batch ? now : now + FeedbackMachine.matchPause
        tell(.stored(outcome, matched: true))
    }

    mutating func matchFailed(_ why: String, at now: MonotonicTime) {
        isMatching = false
        failed(.match, why, at: now)
    }

    /// - Parameter kept: how many messages could not be deleted. They come again and are then recognised.
    mutating func deleted(_ count: Int, kept: Int, at now: MonotonicTime) {
        endedDeleting(count)
        if kept < count { worked(.delete, at: now) }
    }

    mutating func deleteFailed(_ count: Int, _ failure: SQSFailure, at now: MonotonicTime, _ wall: Timestamp) {
        endedDeleting(count)
        failed(.delete, failure, at: now, wall)
    }

    private mutating func endedDeleting(_ count: Int) {
        deleting -= count
        deletions -= 1
    }

    /// - Parameter isStored: whether the store has recorded the state. If false, the state is recorded at the next
    ///   opportunity.
    mutating func noted(isStored: Bool) {
        isNoting = false
        if !isStored { isStatusNews = true }
    }

    /// From here on, only committed messages are deleted. No other operation is started.
    mutating func end(at now: MonotonicTime) { endsBy = endsBy ?? now + FeedbackMachine.endTime }

    // MARK: Actions

    /// Returns what must be started now, in this order. After ``Action/stop`` there are no further actions.
    mutating func next(at now: MonotonicTime) -> [Action] {
        var actions = told
        told = []
        delete(&actions)
        if let endsBy {
            noteAtEnd(&actions)
            let isDone = receiving == 0 && recording.isEmpty && deletions == 0 && !isNoting && !isMatching
            if isDone || now >= endsBy { actions.append(.stop) }
            return actions
        }
        record(&actions, at: now)
        match(&actions, at: now)
        receive(&actions, at: now)
        if isStatusNews, !isNoting, now >= noteAt { note(&actions, at: now) }
        return actions
    }

    /// When to call ``next(at:)`` although nothing has happened. Nil when only an event can change anything.
    var wakeAt: MonotonicTime? {
        if let endsBy { return endsBy }
        var moments: [MonotonicTime] = []
        if recording.isEmpty, !waiting.isEmpty { moments.append(max(store.retryAt, recordAt)) }
        if hasWaiting, !isMatching { moments.append(max(matchAt, store.retryAt)) }
        if receiving < receiversNow, inHand < FeedbackMachine.mostInHand { moments.append(queue.retryAt) }
        if isStatusNews, !isNoting { moments.append(noteAt) }
        return moments.min()
    }

    /// The number of long polls that should run.
    private var receiversNow: Int {
        // Record first what is in memory. Then one long poll brings messages that test whether the store works
        // again.
        if store.isOn { return inHand == 0 ? 1 : 0 }
        return queue.isOn ? 1 : wantedReceivers
    }

    private mutating func receive(_ actions: inout [Action], at now: MonotonicTime) {
        guard queue.mayAsk(at: now) else { return }
        while receiving < receiversNow, inHand < FeedbackMachine.mostInHand {
            receiving += 1
            actions.append(.receive(limit: singlesLeft > 0 ? 1 : SQSClient.batch))
        }
    }

    private mutating func record(_ actions: inout [Action], at now: MonotonicTime) {
        guard recording.isEmpty, !waiting.isEmpty, store.mayAsk(at: now) else { return }
        guard now >= recordAt || waiting.count >= FeedbackMachine.gathered else { return }
        var reports: [FeedbackReport] = []
        var count = 0
        for item in waiting.prefix(recordLimit) {
            guard reports.count + item.reports.count <= Feedback.batch || count == 0 else { break }
            reports += item.reports
            count += 1
        }
        recording = Array(waiting.prefix(count))
        waiting.removeFirst(count)
        actions.append(.record(reports))
    }

    private mutating func match(_ actions: inout [Action], at now: MonotonicTime) {
        guard hasWaiting, !isMatching, now >= matchAt, store.mayAsk(at: now) else { return }
        isMatching = true
        actions.append(.matchWaiting)
    }

    private mutating func delete(_ actions: inout [Action]) {
        while deletions < FeedbackMachine.mostDeletions, !deletable.isEmpty {
            let receipts = Array(deletable.prefix(SQSClient.batch))
            deletable.removeFirst(receipts.count)
            deleting += receipts.count
            deletions += 1
            actions.append(.delete(receipts))
        }
    }

    private mutating func note(_ actions: inout [Action], at now: MonotonicTime) {
        isStatusNews = false
        isNoting = true
        noteAt = now + FeedbackMachine.notePause
        actions.append(.note(status))
    }

    /// Records the state once at the end.
    private mutating func noteAtEnd(_ actions: inout [Action]) {
        guard isStatusNews, !isNoting else { return }
        isStatusNews = false
        isNoting = true
        actions.append(.note(status))
    }

    // MARK: Outages

    private mutating func failed(
        _ operation: QueueOperation, _ failure: SQSFailure, at now: MonotonicTime, _ wall: Timestamp
    ) {
        // The relay itself ended the call.
        guard failure.kind != .cancelled else { return }
        let begins = queue.failed(operation, at: now)
        wantedReceivers = 1
        if begins { status.failingSince = wall }
        if begins || queueFailure?.kind != failure.kind {
            log(.queueFailed(failure))
            tell(.queueFailed(failure.kind))
        }
        queueFailure = failure
        status.failure = failure.explanation
        isStatusNews = true
    }

    private mutating func worked(_ operation: QueueOperation, at now: MonotonicTime) {
        guard let seconds = queue.worked(operation, at: now) else { return }
        queueFailure = nil
        status.failure = nil
        status.failingSince = nil
        isStatusNews = true
        log(.queueRecovered(seconds: seconds))
        tell(.queueRecovered)
    }

    private mutating func failed(_ operation: StoreOperation, _ why: String, at now: MonotonicTime) {
        guard store.failed(operation, at: now) else { return }
        log(.storeFailed(why))
        tell(.storeFailed)
    }

    private mutating func worked(_ operation: StoreOperation, at now: MonotonicTime) {
        guard let seconds = store.worked(operation, at: now) else { return }
        log(.storeRecovered(seconds: seconds))
        tell(.storeRecovered)
    }

    private mutating func tell(_ event: FeedbackEvent) { told.append(.tell(event)) }

    private mutating func log(_ line: FeedbackLine?) {
        if let line { told.append(.log(line)) }
    }
}
