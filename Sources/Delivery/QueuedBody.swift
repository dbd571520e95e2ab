import RelayCore
import Synchronization

/// A message's bytes, fetched from the queue at the first read unless they came with the claim: a transport that reads
/// nothing costs the store nothing.
///
/// Remembers why reading failed, since that decides what becomes of the delivery, whatever the transport makes of it.
final class QueuedBody: StoredBody {
    private struct State {
        var body: (any StoredBody)?
        var failure: (any Error)?
    }

    private let queue: any DeliveryQueue
    private let message: MessageID
    private let state = Mutex(State())

    let size: Int

    init(of delivery: ClaimedDelivery, in queue: any DeliveryQueue) {
        self.queue = queue
        message = delivery.message
        size = delivery.size
        if let bytes = delivery.body { state.withLock { $0.body = MemoryBody(bytes: bytes) } }
    }

    func read(at offset: Int, count: Int) async throws -> [UInt8] {
        do {
            return try await opened().read(at: offset, count: count)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            state.withLock { $0.failure = error }
            throw error
        }
    }

    /// An outcome in which the transport could not read what it was to send.
    func judge(_ outcome: DeliveryOutcome) -> DeliveryOutcome {
        guard let failure = state.withLock({ $0.failure }) else { return outcome }
        let mayHaveBeenTaken: Bool
        switch outcome {
        case .sent, .simulated: return outcome
        case .retry(let cause, _), .failed(let cause), .laneHeld(let cause, _):
            mayHaveBeenTaken = cause.mayHaveBeenTaken
        }
        switch failure as? StoreError {
        case .bodyGone, .noSuchMessage:
            return .failed(.init("body-gone", "\(failure)", mayHaveBeenTaken: mayHaveBeenTaken))
        default:
            let cause = DeliveryOutcome.Cause("body-unreadable", "\(failure)", mayHaveBeenTaken: mayHaveBeenTaken)
            return .retry(cause, pace: .normal)
        }
    }

    private func opened() async throws -> any StoredBody {
        if let body = state.withLock({ $0.body }) { return body }
        let body = try await queue.body(of: message)
        state.withLock { $0.body = body }
        return body
    }
}
