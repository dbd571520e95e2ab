import Admission
import NIOCore
import RelayCore

/// Writes a large message to the spool while it arrives, piece by piece and in order, off the event loop.
///
/// It belongs to one event loop. There, `resume` is called each time the write of a piece has ended, also if the write
/// failed.
final class MessageSpooler {
    private enum Phase {
        case idle
        case writing
        case failed
    }

    private let admission: Admission
    private let id: MessageID
    private let eventLoop: any EventLoop
    private var file: (any SpoolFile)?
    private var phase = Phase.idle
    private var isDiscarded = false

    init(admission: Admission, id: MessageID, eventLoop: any EventLoop) {
        self.admission = admission
        self.id = id
        self.eventLoop = eventLoop
    }

    var isWriting: Bool { phase == .writing }
    var hasFailed: Bool { phase == .failed }

    /// Begins to write `piece`. Must not be called while ``isWriting``.
    func write(_ piece: [UInt8], resume: @escaping () -> Void) {
        precondition(phase == .idle, "one piece at a time, and none after a failure")
        phase = .writing
        let bound = NIOLoopBound((self, resume), eventLoop: eventLoop)
        let (admission, id, file, eventLoop) = (admission, id, file, eventLoop)
        Task {
            var target = file
            do {
                let open = if let file { file } else { try await admission.makeSpoolFile(for: id) }
                target = open
                try await open.append(piece)
                eventLoop.execute { [target] in bound.value.0.wrote(target, failed: false, bound.value.1) }
            } catch {
                admission.storageFailed(error)
                eventLoop.execute { [target] in bound.value.0.wrote(target, failed: true, bound.value.1) }
            }
        }
    }

    private func wrote(_ target: (any SpoolFile)?, failed: Bool, _ resume: () -> Void) {
        file = target
        phase = failed ? .failed : .idle
        // The file is deleted at once, not only when the client has sent the rest, because the disk may be full.
        if failed || isDiscarded { discard() }
        // `resume` is called for a discarded message too, so that the caller can end the message.
        resume()
    }

    /// Writes `last` and syncs the file. Passes the spooled body to `completion`, or nil when this failed. Must not be
    /// called while ``isWriting``.
    func finish(_ last: [UInt8], completion: @escaping (SpooledBody?) -> Void) {
        guard phase == .idle, let file else {
            completion(nil)
            return
        }
        phase = .writing
        let bound = NIOLoopBound((self, completion), eventLoop: eventLoop)
        let (admission, eventLoop) = (admission, eventLoop)
        Task {
            var body: SpooledBody?
            do {
                if !last.isEmpty { try await file.append(last) }
                body = try await file.finish()
            } catch {
                admission.storageFailed(error)
                await file.discard()
            }
            eventLoop.execute { [body] in
                let (spooler, completion) = bound.value
                spooler.file = nil
                spooler.phase = .idle
                completion(body)
            }
        }
    }

    /// Deletes the file. If the file is being finished, the message is complete, and the file is kept.
    func discard() {
        isDiscarded = true
        // While a piece is being written, the task has the file. `wrote` calls this function again.
        guard phase != .writing, let file else { return }
        self.file = nil
        Task { await file.discard() }
    }
}
