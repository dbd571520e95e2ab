import InternetMessage
import RelayCore

/// Functions for faces that work in tasks. The content of a message comes as an asynchronous sequence.
extension Admission {
    /// The same as ``authenticate(userName:password:client:completion:)``, for tasks.
    public func authenticate(
        userName: [UInt8], password: [UInt8], client: IPAddress
    ) async -> Result<Grant, AuthenticationRefusal> {
        await withCheckedContinuation { continuation in
            authenticate(userName: userName, password: password, client: client) { continuation.resume(returning: $0) }
        }
    }

    /// The same as ``authenticate(_:for:client:completion:)``, for tasks.
    public func authenticate(
        _ presented: PresentedKey, for scope: Scope, client: IPAddress
    ) async -> Result<Grant, AuthenticationRefusal> {
        await withCheckedContinuation { continuation in
            authenticate(presented, for: scope, client: client) { continuation.resume(returning: $0) }
        }
    }

    /// Takes one message. When it is in the queue and on disk, returns its id. Otherwise returns the refusal.
    ///
    /// - Parameters:
    ///   - recipients: at least one.
    ///   - content: the message, in pieces of any size. Content of ``MessageIntake/inlineLimit`` octets or more goes
    ///     to the spool as it arrives, so memory stays bounded.
    ///   - maximumDelay: how long the key's rate may delay the message; nil: as long as the settings allow.
    ///   - options: what the client requests in addition to the sending: tags, a time, an idempotency key.
    /// - Throws: the errors of the sequence, and `CancellationError`. The message is then given up.
    public func receive<Content: AsyncSequence>(
        from path: ReversePath, to recipients: [AddrSpec], content: Content, origin: Origin, _ grant: Grant,
        maximumDelay: Duration? = nil, options: SubmissionOptions = SubmissionOptions()
    ) async throws -> Result<MessageID, Refusal> where Content.Element == [UInt8] {
        var reception: Reception
        switch begin(from: path, origin: origin, grant, options: options) {
        case .success(let begun): reception = begun
        case .failure(let refusal): return .failure(refusal)
        }
        for recipient in recipients {
            if let refusal = reception.add(recipient) { return .failure(refusal) }
        }
        switch await open(&reception, maximumDelay: maximumDelay) {
        case .now: break
        case .after(let delay): try await clock.sleep(until: clock.now() + delay)
        case .ask: return .failure(.storageUnavailable)
        case .refused(let refusal): return .failure(refusal)
        }
        switch try await complete(&reception, content: content) {
        case .success(let message): return await submit(message)
        case .failure(let refusal): return .failure(refusal)
        }
    }

    /// The same as ``ask(_:completion:)``, for tasks.
    public func ask(_ question: RateQuestion) async -> RateAnswer {
        await withCheckedContinuation { continuation in
            ask(question) { continuation.resume(returning: $0) }
        }
    }

    /// The same as ``Reception/open(maximumDelay:)``, but asks the store when only the store can answer. Never returns
    /// `.ask`.
    public func open(_ reception: inout Reception, maximumDelay: Duration? = nil) async -> Reception.Opening {
        let opening = reception.open(maximumDelay: maximumDelay)
        guard case .ask(let question) = opening else { return opening }
        return reception.opened(await ask(question))
    }

    /// Passes the content to a reception that is open. Returns the message, which must then be submitted, or the
    /// refusal.
    ///
    /// - Throws: the errors of the sequence. The message is then given up.
    public func complete<Content: AsyncSequence>(
        _ reception: inout Reception, content: Content
    ) async throws(Content.Failure) -> Result<CompleteMessage, Refusal> where Content.Element == [UInt8] {
        var spool = TaskSpool(admission: self)
        do throws(Content.Failure) {
            for try await piece in content {
                piece.withUnsafeBytes { reception.consume($0) }
                await spool.follow(&reception)
            }
        } catch {
            await spool.discard()
            throw error
        }
        return await finish(&reception, &spool)
    }

    private func finish(
        _ reception: inout Reception, _ spool: inout TaskSpool
    ) async -> Result<CompleteMessage, Refusal> {
        switch reception.finish() {
        case .wait:
            // Pieces are written one after another here, so none is being written now.
            await spool.discard()
            return .failure(.storageUnavailable)
        case .refused(let refusal):
            await spool.discard()
            return .failure(refusal)
        case .complete(let message): return .success(message)
        case .spool(let last, let message):
            guard let body = await spool.finish(last) else { return .failure(message.spoolFailed()) }
            return .success(message.spooled(body))
        }
    }

    /// Takes one message into the queue. When the message is on disk, returns its id. Otherwise returns the refusal.
    public func submit(_ message: CompleteMessage) async -> Result<MessageID, Refusal> {
        await withCheckedContinuation { continuation in
            submit(message) { continuation.resume(returning: $0) }
        }
    }

    /// Takes the messages of one batch into the queue, in one transaction. Returns a result for each message, in order.
    public func submit(_ batch: [CompleteMessage]) async -> [Result<MessageID, Refusal>] {
        await withCheckedContinuation { continuation in
            submit(batch) { continuation.resume(returning: $0) }
        }
    }
}

/// The spool of a message that a task receives. Pieces are written one after another.
private struct TaskSpool {
    let admission: Admission
    private var file: (any SpoolFile)?

    init(admission: Admission) { self.admission = admission }

    /// Carries out the reception's steps until it asks for more content.
    mutating func follow(_ reception: inout Admission.Reception) async {
        while true {
            switch reception.next() {
            case .more, .hold: return
            case .forget: return await discard()
            case .spool(let piece):
                guard let id = reception.id else { return }
                do {
                    let file = if let file { file } else { try await admission.makeSpoolFile(for: id) }
                    self.file = file
                    try await file.append(piece)
                    reception.pieceWritten()
                } catch {
                    admission.storageFailed(error)
                    reception.spoolFailed()
                }
            }
        }
    }

    /// Writes the last piece and finishes the file. Returns nil when the disk has failed.
    mutating func finish(_ last: [UInt8]) async -> SpooledBody? {
        guard let file else { return nil }
        self.file = nil
        do {
            if !last.isEmpty { try await file.append(last) }
            return try await file.finish()
        } catch {
            admission.storageFailed(error)
            await file.discard()
            return nil
        }
    }

    mutating func discard() async {
        await file?.discard()
        file = nil
    }
}
