import Logging
import RelayCore

/// Takes SES's events from the queue and records them in the store. ``FeedbackMachine`` decides everything.
public final class FeedbackConsumer: Sendable {
    private let queue: any MessageQueue
    private let store: any FeedbackStore
    private let clock: any RelayClock
    private let logger: Logger
    private let observe: @Sendable (FeedbackEvent) -> Void

    /// The number of connections that a queue's client needs for the consumer.
    public static let connections = FeedbackMachine.mostReceivers + FeedbackMachine.mostDeletions

    /// - Parameter observe: is called for each event, in the consumer's task. It must be quick.
    public init(
        queue: any MessageQueue, store: any FeedbackStore, clock: any RelayClock, logger: Logger,
        observe: @escaping @Sendable (FeedbackEvent) -> Void = { _ in }
    ) {
        self.queue = queue
        self.store = store
        self.clock = clock
        self.logger = logger
        self.observe = observe
    }

    /// An operation that was started has ended.
    private enum Arrival: Sendable {
        case received(Int, Result<[FeedbackMachine.Message], SQSFailure>, limit: Int)
        case recorded(Result<FeedbackOutcome, any Error>)
        case matched(Result<FeedbackOutcome?, any Error>)
        case deleted(Int, Result<Int, SQSFailure>)
        case noted(isStored: Bool)
        case time
        case ending
    }

    /// Runs until the task is cancelled. Then long polls end at once. Events that are being committed are still
    /// committed and deleted from the queue, within two seconds.
    public func run() async {
        // The stream's length is bounded, because the machine limits how many operations run at a time.
        let (arrivals, inlet) = AsyncStream.makeStream(of: Arrival.self)
        // The loop runs in a separate task, which is not cancelled: messages whose events are committed at the end must
        // still be deleted.
        let loop = Task { await turn(arrivals, inlet) }
        await withTaskCancellationHandler {
            await loop.value
        } onCancel: {
            inlet.yield(.ending)
        }
    }

    private func turn(_ arrivals: AsyncStream<Arrival>, _ inlet: AsyncStream<Arrival>.Continuation) async {
        var machine = FeedbackMachine()
        var work = Work(consumer: self, inlet: inlet)
        work.begin(machine.next(at: clock.monotonicNow()))
        work.wake(at: machine.wakeAt)
        for await arrival in arrivals {
            let now = clock.monotonicNow()
            take(arrival, &machine, &work, at: now)
            work.begin(machine.next(at: now))
            if work.isStopped { break }
            work.wake(at: machine.wakeAt)
        }
        work.end()
    }

    private func take(_ arrival: Arrival, _ machine: inout FeedbackMachine, _ work: inout Work, at now: MonotonicTime) {
        switch arrival {
        case .received(let number, .success(let messages), let limit):
            work.receives[number] = nil
            machine.received(messages, limit: limit, at: now, clock.now())
        case .received(let number, .failure(let failure), let limit):
            work.receives[number] = nil
            machine.receiveFailed(failure, limit: limit, at: now, clock.now())
        case .recorded(.success(let outcome)): machine.recorded(outcome, at: now)
        case .recorded(.failure(let error)): machine.recordFailed("\(error)", at: now)
        case .matched(.success(let outcome)): machine.matched(outcome, at: now)
        case .matched(.failure(let error)): machine.matchFailed("\(error)", at: now)
        case .deleted(let count, .success(let kept)): machine.deleted(count, kept: kept, at: now)
        case .deleted(let count, .failure(let failure)): machine.deleteFailed(count, failure, at: now, clock.now())
        case .noted(let isStored): machine.noted(isStored: isStored)
        case .time: work.timer = nil
        case .ending:
            machine.end(at: now)
            for receive in work.receives.values { receive.cancel() }
        }
    }

    /// The operations that were started and have not ended.
    private struct Work {
        let consumer: FeedbackConsumer
        let inlet: AsyncStream<Arrival>.Continuation
        var receives: [Int: Task<Void, Never>] = [:]
        var timer: (at: MonotonicTime, task: Task<Void, Never>)?
        var isStopped = false
        private var lastReceive = 0

        init(consumer: FeedbackConsumer, inlet: AsyncStream<Arrival>.Continuation) {
            self.consumer = consumer
            self.inlet = inlet
        }

        mutating func begin(_ actions: [FeedbackMachine.Action]) {
            let (queue, store, inlet) = (consumer.queue, consumer.store, inlet)
            for action in actions {
                switch action {
                case .receive(let limit): receive(limit)
                case .record(let reports):
                    let now = consumer.clock.now()
                    Task {
                        do {
                            inlet.yield(.recorded(.success(try await store.record(reports, now: now))))
                        } catch {
                            inlet.yield(.recorded(.failure(error)))
                        }
                    }
                case .matchWaiting:
                    let now = consumer.clock.now()
                    Task {
                        do {
                            inlet.yield(.matched(.success(try await store.matchWaiting(now: now))))
                        } catch {
                            inlet.yield(.matched(.failure(error)))
                        }
                    }
                case .delete(let receipts):
                    Task {
                        do throws(SQSFailure) {
                            inlet.yield(.deleted(receipts.count, .success(try await queue.delete(receipts))))
                        } catch {
                            inlet.yield(.deleted(receipts.count, .failure(error)))
                        }
                    }
                case .note(let status):
                    Task { inlet.yield(.noted(isStored: (try? await store.record(status)) != nil)) }
                case .tell(let event): consumer.observe(event)
                case .log(let line): line.write(to: consumer.logger)
                case .stop: isStopped = true
                }
            }
        }

        private mutating func receive(_ limit: Int) {
            lastReceive += 1
            let (queue, inlet, number) = (consumer.queue, inlet, lastReceive)
            receives[number] = Task {
                do throws(SQSFailure) {
                    let messages = try await queue.receive(limit: limit).map {
                        FeedbackMachine.Message(receipt: $0.receipt, reading: SESEventReader.read($0.body))
                    }
                    inlet.yield(.received(number, .success(messages), limit: limit))
                } catch {
                    inlet.yield(.received(number, .failure(error), limit: limit))
                }
            }
        }

        /// Sets a timer for `moment`. A timer that fires early does no harm: the machine is asked, and a new timer is
        /// set.
        mutating func wake(at moment: MonotonicTime?) {
            guard let moment else { return }
            if let timer {
                guard moment < timer.at else { return }
                timer.task.cancel()
            }
            let (clock, inlet) = (consumer.clock, inlet)
            // A whole millisecond is added, because a timer that fires too early would find nothing to do.
            let wait = max(0, moment.seconds(since: clock.monotonicNow())) + 0.001
            let deadline = clock.now() + .seconds(wait)
            timer = (
                moment,
                Task {
                    guard (try? await clock.sleep(until: deadline)) != nil else { return }
                    inlet.yield(.time)
                }
            )
        }

        mutating func end() {
            timer?.task.cancel()
            for receive in receives.values { receive.cancel() }
            inlet.finish()
        }
    }
}
