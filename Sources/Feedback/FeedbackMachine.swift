import RelayCore

/// What the consumer of the queue does next: how many take messages, what is recorded and deleted, and when to pause.
///
/// A value: no I/O, no clock, no task. The shell tells it what has come, then asks for ``next(at:)`` and does what it says. The rules:
/// a message is deleted only when its events are committed, or when it holds none; what was not committed is tried again, and comes
/// again from the queue where the relay ends before.
struct FeedbackMachine {
    /// A message that was taken from the queue.
    struct Message {
        var receipt: String
        var reading: QueueReading
    }

    enum Action: Equatable {
        /// Take at most so many messages.
        case receive(limit: Int)
        case record([FeedbackReport])
        case matchWaiting
        case delete([String])
        /// Put the state of the queue on record.
        case note(FeedbackStatus)
        case tell(FeedbackEvent)
        case log(FeedbackLine)
        /// All is done that was to be done before the end.
        case stop
    }

    private struct Item {
        var receipt: String
        var reports: [FeedbackReport]
        /// How often the store would not take it by itself.
        var failures = 0
    }

    private enum QueueOperation { case receive, delete }
    private enum StoreOperation { case record, match }

    /// Long polls at a time, while there is much to take; one is enough to wait.
    static let mostReceivers = 8
    static let mostDeletions = 4
    /// Messages in memory: taken, and not deleted yet. Those that long polls bring come on top.
    static let mostInHand = 200
    /// After so many failures by itself, a message is left to the queue.
    static let mostFailures = 5
    /// Between two transactions, unless so many messages wait.
    static let gatherTime = Duration.milliseconds(100)
    static let gathered = 100
    static let matchPause = Duration.seconds(1)
    static let notePause = Duration.seconds(10)
    /// At the end, what runs gets so long.
    static let endTime = Duration.seconds(2)
    /// After an answer that was too long, messages are taken one by one so many times.
    static let singles = 2 * SQSClient.batch

    private var queue = Outage<QueueOperation>(firstPause: .seconds(1), longestPause: .seconds(60))
    private var queueFailure: SQSFailure?
    private var store = Outage<StoreOperation>(firstPause: .seconds(1), longestPause: .seconds(30))

    private var receiving = 0
    private var wantedReceivers = 1
    private var singlesLeft = 0

    private var waiting: [Item] = []
    private var recording: [Item] = []
    /// No transaction before this, unless much waits: each is a sync of the disk that mail being accepted waits for.
    private var recordAt = MonotonicTime.distantPast
    /// Messages that go into one transaction at most: few after a failure, so that one that the store can't take is found.
    private var recordLimit = Feedback.batch

    private var deletable: [String] = []
    /// Messages and calls that delete them.
    private var deleting = 0
    private var deletions = 0

    private var isMatching = false
    /// Whether anything may wait for its message.
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

    // MARK: What has come

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
        // SQS rarely fills an answer; half of one says that there is more.
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
        // Counted and told, so it need not come again for ever.
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
            // Behind the others, which it may not hold up.
            waiting.append(item)
        } else {
            tell(.leftAlone)
            log(lines.leftAlone(why, at: now))
        }
    }

    /// Nil where nothing waits.
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

    /// - Parameter kept: how many could not be deleted. They come again, and are known by then.
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

    /// - Parameter isStored: false where the store would not take it; the next look does it again.
    mutating func noted(isStored: Bool) {
        isNoting = false
        if !isStored { isStatusNews = true }
    }

    /// Nothing new is begun from here on, but deleting what is committed.
    mutating func end(at now: MonotonicTime) { endsBy = endsBy ?? now + FeedbackMachine.endTime }

    // MARK: What to do

    /// What is to be begun now, in this order. After ``Action/stop`` nothing more is.
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

    /// When ``next(at:)`` is to be asked though nothing has come; nil: not before something does.
    var wakeAt: MonotonicTime? {
        if let endsBy { return endsBy }
        var moments: [MonotonicTime] = []
        if recording.isEmpty, !waiting.isEmpty { moments.append(max(store.retryAt, recordAt)) }
        if hasWaiting, !isMatching { moments.append(max(matchAt, store.retryAt)) }
        if receiving < receiversNow, inHand < FeedbackMachine.mostInHand { moments.append(queue.retryAt) }
        if isStatusNews, !isNoting { moments.append(noteAt) }
        return moments.min()
    }

    /// Long polls that there should be.
    private var receiversNow: Int {
        // What is in memory is recorded first; then one message tries whether the store takes some again.
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

    /// Once.
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
        // The relay itself has ended the call.
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
