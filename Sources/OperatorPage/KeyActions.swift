import Admission
import HTTPServer
import HTTPTypes
import InternetMessage
import Logging
import MessageComposition
import RelayCore

/// The actions of the forms on a key's page.
enum KeyActions {
    /// How long the old secret may keep working after a rotation.
    static let graces: [(seconds: Int, text: String)] = [
        (0, "no time: it ends at once"), (3600, "an hour"), (86_400, "a day"), (7 * 86_400, "a week"),
        (30 * 86_400, "30 days"),
    ]

    static func change(_ page: OperatorPage, _ id: KeyID, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        let record = try await usable(page, id, visitor)
        let change: @Sendable (inout Key) -> Void
        do throws(FormMistake) {
            change = try KeyForm.change(form, of: record.key, now: visitor.now)
        } catch {
            return try await wrong(page, id, form, visitor, error, .rules)
        }
        try await page.store.updateKey(id, change)
        return .redirect(to: Done.rules.at(Path.key(id)))
    }

    static func rotate(_ page: OperatorPage, _ id: KeyID, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        let record = try await usable(page, id, visitor)
        guard let grace = graces.first(where: { String($0.seconds) == form["grace"] }) else {
            throw Failures.Refused(sentence: "choose how long the old secret keeps working", back: Path.key(id))
        }
        let formID = form.raw("form")
        let path = SecretPage.path(id, formID)
        if let earlier = await page.secrets.begin(formID, path) { return .redirect(to: earlier) }
        var generator = SystemRandomNumberGenerator()
        let secret = APIKey(rotating: id, record.key.environment, using: &generator)
        let end = visitor.now + .seconds(grace.seconds)
        do {
            try await page.store.rotateKey(id, digest: secret.digest, previousUntil: end)
        } catch {
            await page.secrets.forget(formID)
            throw error
        }
        await page.secrets.finish(
            formID, at: path, .key(secret, previousUntil: grace.seconds == 0 ? nil : end))
        return .redirect(to: path)
    }

    static func revoke(_ page: OperatorPage, _ id: KeyID, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        let record = try await usable(page, id, visitor)
        guard form.raw("confirm").trimmed == record.key.name.trimmed else {
            return try await wrong(
                page, id, form, visitor,
                FormMistake("confirm", "What you typed is not the key's name, so nothing was changed"), .revoke)
        }
        guard let queued = QueuedDisposition(rawValue: form["queued"]) else {
            throw Failures.Refused(sentence: "choose what to do with the queued messages", back: Path.key(id))
        }
        let dropped = try await page.store.revokeKey(id, queued: queued, clock: page.clock)
        page.logger.notice("key revoked on the page", metadata: ["key": "\(id)", "queued": "\(queued.rawValue)"])
        await page.tellDropped(dropped)
        return .redirect(to: Done.revoked.at(Path.key(id)))
    }

    /// The key, if it may still be changed.
    private static func usable(_ page: OperatorPage, _ id: KeyID, _ visitor: Visitor) async throws -> KeyRecord {
        guard let record = try await page.store.keyRecord(id, now: visitor.now) else { throw StoreError.noSuchKey(id) }
        if record.key.revokedAt != nil {
            throw Failures.Refused(
                sentence: "the key is revoked, which can't be undone: create a new key", back: Path.key(id))
        }
        return record
    }

    private static func wrong(
        _ page: OperatorPage, _ id: KeyID, _ form: Form, _ visitor: Visitor, _ mistake: FormMistake,
        _ section: KeyPage.Section
    ) async throws -> HTTPAnswer {
        visitor.page(
            try await KeyPage.make(page, id, Form(), visitor, form: form, mistake: mistake, in: section),
            .unprocessableContent)
    }

    // MARK: A test message

    /// Sends a message with the key in the same way as an application does, so the key's rules apply.
    static func sendTest(_ page: OperatorPage, _ id: KeyID, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer
    {
        let from: Mailbox
        let to: Mailbox
        do throws(FormMistake) {
            from = try mailbox(form, "from", "From")
            to = try mailbox(form, "to", "To")
        } catch {
            return try await wrong(page, id, form, visitor, error, .test)
        }
        let formID = form.raw("form")
        if let earlier = await page.secrets.begin(formID, Path.messages) { return .redirect(to: earlier) }
        switch await send(page, id, from, to) {
        case .success(let message):
            let path = Done.sent.at(Path.message(message))
            await page.secrets.finish(formID, at: path)
            return .redirect(to: path)
        case .failure(let refusal):
            await page.secrets.forget(formID)
            return try await wrong(page, id, form, visitor, FormMistake("to", sentence(refusal)), .test)
        }
    }

    private static func sentence(_ refusal: Refusal) -> String {
        guard refusal.reason == .network else { return refusal.explanation }
        return
            "The key may be used only from its networks, and this page is on the gateway itself: send the test from the application"
    }

    private static func mailbox(_ form: Form, _ field: String, _ label: String) throws(FormMistake) -> Mailbox {
        do throws(MailboxError) {
            return try Mailbox(parsing: form[field])
        } catch {
            throw FormMistake(field, "\(label): \(error.explanation)")
        }
    }

    private static func send(
        _ page: OperatorPage, _ id: KeyID, _ from: Mailbox, _ to: Mailbox
    ) async -> Result<MessageID, Refusal> {
        let local = OperatorPage.local
        let grant: Grant
        switch await page.admission.grant(toOperatorUsing: id, for: .send, client: local) {
        case .success(let granted): grant = granted
        case .failure(let refusal): return .failure(refusal)
        }
        let email = Email(
            from: from, to: [to], subject: "Test message of Hiveku Relay",
            text: """
                This is a test message. It was sent from the operator's page of \(page.configuration.hostname) with the key \(id).

                If you can read it, mail with this key arrives. It was sent at \(brief(page.clock.now())) UTC.
                """)
        let composer = MessageComposer(email, seed: .random(in: 0 ... .max))
        let origin = Admission.Origin(clientName: "[\(local)]", client: local, with: "HTTP")
        let pieces = AsyncStream<[UInt8]> { continuation in
            var composer = composer
            while let piece = composer.next() { continuation.yield(piece) }
            continuation.finish()
        }
        do {
            return try await page.admission.receive(
                from: .mailbox(from.address), to: composer.recipients, content: pieces, origin: origin, grant)
        } catch {
            return .failure(.storageUnavailable)
        }
    }
}
