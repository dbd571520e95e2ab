import Admission
import InternetMessage
import MessageComposition
import RelayCore

/// An email that was accepted.
struct SentEmail: Hashable, Sendable {
    var id: MessageID
    /// Whether the email waits for its scheduled time.
    var isScheduled: Bool
    /// Whether the email had been accepted before, for the same request.
    var isRepeat: Bool
}

/// Composes emails and submits them through Admission, as SMTP does with its messages.
struct EmailSender: Sendable {
    let api: EmailAPI
    let configuration: HTTPServerConfiguration

    private var admission: Admission { api.service.admission }
    private var grant: Grant { api.caller.grant }

    /// Sends one email.
    func send(_ request: EmailRequest) async -> Result<SentEmail, Refusal> {
        let identity = request.idempotency?.identity(of: api.key, part: nil)
        if let identity, isRateUsedUp {
            switch await earlier([(request, identity)]) {
            case .failure(let refusal): return .failure(refusal)
            case .success(let found):
                switch found[0] {
                case .failure(let refusal): return .failure(refusal)
                case .success(let sent?): return .success(sent)
                case .success(nil): break
                }
            }
        }
        let message = Composition(request)
        switch begin(message, identity) {
        case .failure(let refusal): return .failure(refusal)
        case .success(var reception):
            if case .refused(let refusal) = await admission.open(&reception, maximumDelay: .zero) {
                return .failure(refusal)
            }
            switch await admission.complete(&reception, content: message.content) {
            case .failure(let refusal): return .failure(refusal)
            case .success(let complete):
                return await admission.submit(complete).map { sent(request, as: complete, under: $0) }
            }
        }
    }

    /// The outcome of one email of a batch.
    enum Outcome: Sendable {
        case sent(SentEmail)
        case refused(Refusal)
        /// Its part of the document is invalid.
        case invalid(EmailRequestFailure)
    }

    /// Sends the emails of a batch, or none of them if the key's limits do not allow all. An email that is invalid by
    /// itself does not stop the others.
    func send(_ batch: EmailBatch) async -> Result<[Outcome], Refusal> {
        let hasKey = batch.idempotency != nil
        var outcomes: [Outcome?] = batch.items.map { item in
            if case .failure(let failure) = item { .invalid(failure) } else { nil }
        }
        var wanted: [(place: Int, EmailRequest, Idempotency?)] = []
        for (place, item) in batch.items.enumerated() {
            guard case .success(let request) = item else { continue }
            wanted.append((place, request, identity(of: request, at: place, in: batch)))
        }
        // An email with its own idempotency key may have been accepted before. If so, it does not count towards the
        // batch's rate.
        if isRateUsedUp || !hasKey {
            let known = wanted.compactMap { place, request, identity in identity.map { (place, (request, $0)) } }
            switch await earlier(known.map(\.1)) {
            case .failure(let refusal): return .failure(refusal)
            case .success(let found):
                for ((place, _), result) in zip(known, found) {
                    switch result {
                    case .success(nil): break
                    case .success(let sent?): outcomes[place] = .sent(sent)
                    case .failure(let refusal) where hasKey: return .failure(refusal)
                    case .failure(let refusal): outcomes[place] = .refused(refusal)
                    }
                }
            }
        }
        var begun: [(place: Int, Composition, Admission.Reception)] = []
        for (place, request, identity) in wanted where outcomes[place] == nil {
            let message = Composition(request)
            switch begin(message, identity) {
            case .success(let reception): begun.append((place, message, reception))
            case .failure(let refusal):
                if refusal.concernsWholeRequest { return .failure(refusal) }
                outcomes[place] = .refused(refusal)
            }
        }
        if !begun.isEmpty {
            switch await submit(begun, hasKey: hasKey) {
            case .failure(let refusal): return .failure(refusal)
            case .success(let results): for (place, outcome) in results { outcomes[place] = outcome }
            }
        }
        // By now each position has its outcome.
        return .success(outcomes.compactMap { $0 })
    }

    /// - Parameter hasKey: whether the batch as a whole has an idempotency key.
    private func submit(
        _ begun: [(place: Int, Composition, Admission.Reception)], hasKey: Bool
    ) async -> Result<[(place: Int, Outcome)], Refusal> {
        let shares: [Admission.RateShare]
        switch await admission.takeRate(forBatch: begun.map { $0.1.recipients.count }, grant) {
        case .success(let taken): shares = taken
        case .failure(let refusal): return .failure(refusal)
        }
        var outcomes: [(place: Int, Outcome)] = []
        var complete: [(place: Int, EmailRequest, Admission.CompleteMessage)] = []
        for (entry, share) in zip(begun, shares) {
            var (place, message, reception) = entry
            reception.open(with: share)
            switch await admission.complete(&reception, content: message.content) {
            case .success(let whole): complete.append((place, message.request, whole))
            case .failure(let refusal): outcomes.append((place, .refused(refusal)))
            }
        }
        let results = await admission.submit(complete.map(\.2))
        // If all emails are refused, and at least one of them for a reason that concerns the whole request, the request
        // is refused.
        let refusals =
            outcomes.compactMap { entry in if case .refused(let refusal) = entry.1 { refusal } else { nil } }
            + results.compactMap { result in if case .failure(let refusal) = result { refusal } else { nil } }
        if refusals.count == begun.count,
            let whole = refusals.first(where: { refusal in
                refusal.concernsWholeRequest || hasKey && refusal.reason == .idempotencyMismatch
            })
        {
            return .failure(whole)
        }
        for (entry, result) in zip(complete, results) {
            switch result {
            case .success(let id): outcomes.append((entry.place, .sent(sent(entry.1, as: entry.2, under: id))))
            case .failure(let refusal): outcomes.append((entry.place, .refused(refusal)))
            }
        }
        return .success(outcomes)
    }

    // MARK: Repeats

    /// Whether the key's rate allows nothing at the moment. A repeat needs nothing from the rate.
    private var isRateUsedUp: Bool { admission.rateStanding(of: grant).available < 1 }

    private func identity(of request: EmailRequest, at place: Int, in batch: EmailBatch) -> Idempotency? {
        batch.idempotency?.identity(of: api.key, part: place)
            ?? request.idempotency?.identity(of: api.key, part: nil)
    }

    /// The emails that were accepted when these requests arrived before; nil for each request that is new. Fails if the
    /// key may no longer be used.
    private func earlier(
        _ requests: [(EmailRequest, Idempotency)]
    ) async -> Result<[Result<SentEmail?, Refusal>], Refusal> {
        guard !requests.isEmpty else { return .success([]) }
        return await admission.earlierMessages(requests.map(\.1), grant).map { messages in
            zip(requests, messages).map { request, message in
                message.map { id in
                    id.map { SentEmail(id: $0, isScheduled: isScheduled(request.0, under: $0), isRepeat: true) }
                }
            }
        }
    }

    // MARK: One message

    /// Begins the reception of a message, with its sender, recipients and options.
    private func begin(_ message: Composition, _ identity: Idempotency?) -> Result<Admission.Reception, Refusal> {
        let request = message.request
        if message.size > configuration.maximumMessageSize {
            let refusal = Refusal(
                .size,
                "The composed message has \(message.size) octets, and the limit is \(configuration.maximumMessageSize); send smaller or fewer attachments"
            )
            admission.tell(refusal, client: api.caller.client, key: grant.id)
            return .failure(refusal)
        }
        let client = api.caller.client
        let origin = Admission.Origin(
            clientName: client.isIPv4 ? "[\(client)]" : "[IPv6:\(client)]", client: client,
            with: api.caller.isSecure ? "HTTPS" : "HTTP")
        let options = SubmissionOptions(
            tags: request.tags, scheduledAt: request.scheduledAt, idempotency: identity, template: request.template)
        var reception: Admission.Reception
        switch admission.begin(
            from: .mailbox(request.email.from.address), origin: origin, grant,
            maximumRecipients: configuration.maximumRecipients, options: options)
        {
        case .failure(let refusal): return .failure(refusal)
        case .success(let begun): reception = begun
        }
        for recipient in message.recipients {
            if let refusal = reception.add(recipient) { return .failure(refusal) }
        }
        return .success(reception)
    }

    private func sent(
        _ request: EmailRequest, as message: Admission.CompleteMessage, under id: MessageID
    ) -> SentEmail {
        SentEmail(id: id, isScheduled: isScheduled(request, under: id), isRepeat: id != message.id)
    }

    /// Whether the email had to wait for its scheduled time when it was accepted. A repeat gets the first answer again,
    /// even if that time has come since.
    private func isScheduled(_ request: EmailRequest, under id: MessageID) -> Bool {
        request.scheduledAt.map { $0 > id.moment } ?? false
    }
}

/// An email that is being composed into octets.
private struct Composition: Sendable {
    let request: EmailRequest
    private let composer: MessageComposer

    init(_ request: EmailRequest) {
        self.request = request
        composer = MessageComposer(request.email, seed: .random(in: .min ... .max))
    }

    var recipients: [AddrSpec] { composer.recipients }
    /// The size in octets.
    var size: Int { composer.size }
    /// The message, piece by piece.
    var content: ComposedContent { ComposedContent(composer: composer) }
}

/// The pieces of a composed message, as they are requested.
private struct ComposedContent: AsyncSequence, Sendable {
    typealias Element = [UInt8]
    typealias Failure = Never

    let composer: MessageComposer

    struct AsyncIterator: AsyncIteratorProtocol {
        var composer: MessageComposer

        mutating func next() async -> [UInt8]? { composer.next() }
        mutating func next(isolation: isolated (any Actor)?) async -> [UInt8]? { composer.next() }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(composer: composer) }
}

extension RequestIdempotency {
    /// The idempotency for the store.
    ///
    /// - Parameter part: if the idempotency key is for a whole batch, the email's position in the batch; nil if the
    ///   key is for one email.
    func identity(of key: KeyID, part: Int?) -> Idempotency {
        Idempotency(
            request: Fingerprint(key: key, request: self.key.text),
            part: part.map { Fingerprint(key: key, request: self.key.text, part: $0) }, content: digest)
    }
}

extension Refusal {
    /// Whether every email of the request would get this refusal, whatever its sender, recipients and content. The
    /// cause is then the connection, the key's validity, its limits or the store. A rule of the key about an email's
    /// own domains, such as `senderDomain`, concerns only that email.
    fileprivate var concernsWholeRequest: Bool {
        switch reason {
        case .tlsRequired, .authRequired, .keyUnknown, .keyMalformed, .keyRevoked, .keyExpired, .scope, .network,
            .authThrottled, .rateSecond, .rateDay, .storage:
            true
        case .senderDomain, .headerDomain, .headerFrom, .headerAddress, .headerMIME, .headerSyntax, .headerRepeated,
            .attachment, .loop, .recipients, .size, .address, .parameter, .lineEnding, .lineLength, .invalid,
            .idempotencyMismatch:
            false
        }
    }
}
