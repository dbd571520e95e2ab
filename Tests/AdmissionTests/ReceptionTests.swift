import InternetMessage
import RelayCore
import SQLiteStore
import TestSupport
import Testing

@testable import Admission

/// Every message enters through a reception. These rules apply to every face.
@Suite struct ReceptionTests {
    private static func content(_ text: String, into reception: inout Admission.Reception) {
        Array(text.utf8).withUnsafeBytes { reception.consume($0) }
    }

    private func fixture(_ configure: (inout Key) -> Void = { _ in }) async throws -> (AdmissionFixture, Grant) {
        let fixture = try AdmissionFixture()
        let grant = try await fixture.authenticate(try await fixture.key(configure: configure)).get()
        return (fixture, grant)
    }

    @Test func duplicateRecipientsAreMergedInOriginalOrder() async throws {
        let (fixture, grant) = try await fixture()
        var reception = try fixture.begin(grant, recipients: 0)
        // Only the recipient's own host may ignore the case of a local part.
        for text in ["b@example.net", "a@example.net", "b@EXAMPLE.net", "B@example.net"] {
            #expect(reception.add(try address(text)) == nil)
        }
        guard case .now = reception.open() else { return }
        Self.content("From: from@example.com\r\n\r\n", into: &reception)
        guard case .complete(let message) = reception.finish() else {
            Issue.record("the message was refused")
            return
        }
        #expect(message.submission.envelope.recipients == ["b@example.net", "a@example.net", "B@example.net"])
        #expect(message.submission.envelope.reversePath == "from@example.com")
    }

    /// A repeated recipient is found, however many recipients there are.
    @Test func aRepeatedRecipientIsFoundAmongMany() async throws {
        let (fixture, grant) = try await fixture { $0.limits = SendingLimits(perSecond: 1000, burst: 1000) }
        var reception = try fixture.begin(grant, recipients: 60)
        for i in stride(from: 0, to: 60, by: 7) { #expect(try reception.add(address("to\(i)@example.net")) == nil) }
        guard case .now = reception.open() else { return }
        Self.content("From: from@example.com\r\n\r\n", into: &reception)
        guard case .complete(let message) = reception.finish() else {
            Issue.record("the message was refused")
            return
        }
        #expect(message.submission.envelope.recipients == (0..<60).map { "to\($0)@example.net" })
    }

    @Test func excessRecipientsAreRefusedAndEarlierOnesKept() async throws {
        let (fixture, grant) = try await fixture()
        fixture.admission.reconfigure(
            .init(
                hostname: "relay.example.com", maximumMessageSize: 1000, maximumRecipients: 2, maximumRateDelay: .zero,
                preparation: PreparationPolicy()))
        var reception = try fixture.begin(grant, recipients: 2)
        let refusal = reception.add(try address("one-more@example.net"))
        #expect(refusal?.reason == .recipients && refusal?.retryAfter == nil && refusal?.isInDoubt == false)
        #expect(refusal?.explanation.mentions("2 recipients") == true)
        #expect(reception.add(try address("to0@example.net")) == nil)
        guard case .now = reception.open() else {
            Issue.record("the message to the recipients within the limit was not accepted")
            return
        }
    }

    @Test func submissionCarriesTheFactsThatTheStoreRechecks() async throws {
        let (fixture, grant) = try await fixture { $0.domains = [DomainPattern(normalised: "example.com")] }
        var reception = try fixture.begin(grant)
        guard case .now = reception.open() else { return }
        Self.content("From: a@example.com\r\nSender: b@EXAMPLE.com\r\n\r\n", into: &reception)
        guard case .complete(let message) = reception.finish() else {
            Issue.record("the message was refused")
            return
        }
        #expect(
            message.submission.domains == [
                ClaimedDomain(.envelope, name: "example.com", text: "example.com"),
                ClaimedDomain(.from, name: "example.com", text: "example.com"),
                ClaimedDomain(.sender, name: "example.com", text: "example.com"),
            ])
        #expect(message.submission.scope == .send)
        #expect(message.submission.secret != nil)
    }

    enum WayOut: CaseIterable, Sendable {
        case droppedWhenOpen, droppedWithContent, givenUp, refusedHeader, refusedByTheFace
    }

    /// If a message is not accepted, its emails go back to the key's rate, however the message ends.
    @Test(arguments: WayOut.allCases) func everyUnsentMessageReturnsItsRateReservation(_ wayOut: WayOut) async throws {
        let (fixture, grant) = try await fixture { $0.limits = SendingLimits(perSecond: 1, burst: 1) }
        for _ in 0..<3 {
            var reception = try fixture.begin(grant)
            guard case .now = reception.open() else {
                Issue.record("the previous message's emails were not given back to the rate")
                return
            }
            switch wayOut {
            case .droppedWhenOpen: break
            case .droppedWithContent: Self.content("From: from@example.com\r\n", into: &reception)
            case .givenUp:
                Self.content("From: from@example.com\r\n", into: &reception)
                reception.giveUp()
            case .refusedHeader:
                Self.content("Subject: nobody's\r\n\r\n", into: &reception)
                guard case .refused(let refusal) = reception.finish() else { return }
                #expect(refusal.reason == .headerFrom)
            case .refusedByTheFace:
                Self.content("From: from@example.com\r\n\r\n", into: &reception)
                guard case .refused(let refusal) = reception.finish(defect: Refusal(.lineEnding, "An LF")) else {
                    return
                }
                #expect(refusal.reason == .lineEnding)
            }
        }
    }

    @Test func aLargeMessageGoesToTheSpoolPieceByPiece() async throws {
        let (fixture, grant) = try await fixture()
        let body = String(repeating: String(repeating: "x", count: 70) + "\r\n", count: 10_000)
        let id = try await fixture.send(grant, body: body).get()
        let record = try #require(try await fixture.store.messages(MessageFilter(limit: 1)).first)
        #expect(record.id == id)
        let stored = try await fixture.store.body(of: id)
        #expect(stored.size > body.utf8.count)
    }

    @Test func stepsOfASpooledMessage() async throws {
        let (fixture, grant) = try await fixture()
        var reception = try fixture.begin(grant)
        guard case .now = reception.open() else { return }
        guard case .more = reception.next() else {
            Issue.record("no content was requested before any had arrived")
            return
        }
        let piece = String(repeating: String(repeating: "x", count: 70) + "\r\n", count: 2000)
        Self.content("From: from@example.com\r\n\r\n" + piece, into: &reception)
        guard case .spool(let first) = reception.next() else {
            Issue.record("the first piece was not spooled")
            return
        }
        #expect(first.count > piece.utf8.count)
        // While a piece is written, more content may arrive, up to a limit.
        guard case .more = reception.next() else { return }
        Self.content(piece, into: &reception)
        guard case .hold = reception.next() else {
            Issue.record("more content was requested although the spool is behind")
            return
        }
        #expect(reception.isSpoolBehind)
        guard case .wait = reception.finish() else {
            Issue.record("the message was finished while a piece was being written")
            return
        }
        reception.pieceWritten()
        guard case .spool(let last, let incomplete) = reception.finish() else {
            Issue.record("there was no last piece to spool")
            return
        }
        #expect(last.count == piece.utf8.count)
        let message = incomplete.spooled(SpooledBody(name: "x", size: first.count + last.count))
        #expect(message.submission.body.size == first.count + last.count)
    }

    @Test func spoolFailureIsATemporaryRefusal() async throws {
        let (fixture, grant) = try await fixture()
        var reception = try fixture.begin(grant)
        guard case .now = reception.open() else { return }
        Self.content("From: from@example.com\r\n\r\n" + String(repeating: "x\r\n", count: 50_000), into: &reception)
        guard case .spool = reception.next() else { return }
        reception.spoolFailed()
        guard case .forget = reception.next() else {
            Issue.record("content that can't be stored was not discarded")
            return
        }
        guard case .refused(let refusal) = reception.finish() else { return }
        #expect(refusal == .storageUnavailable)
    }

    /// A message is a repeat if it differs only in trace fields.
    @Test(
        arguments: [
            ("Subject: one\r\n", "Subject: one\r\n", true),
            ("Subject: one\r\n", "Subject: two\r\n", false),
            ("Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n", "Date: Sat, 28 Nov 2026 12:01:00 +0000\r\n", false),
            ("Received: by a.example; x\r\n", "Received: by b.example; y\r\nReceived: z\r\n", true),
            ("X-Alarm: 1\r\n", "", false),
            ("To: a@example.net\r\n", "To: b@example.net\r\n", false),
            ("Hiveku-Tags: a\r\n", "Hiveku-Tags:  a\r\n", true),
            ("Hiveku-Tags: a\r\n", "Hiveku-Tags: b\r\n", false),
            ("Hiveku-Tags: a\r\n", "", false),
            ("Hiveku-Scheduled-At: 2020-01-01T00:00:00Z\r\n", "Hiveku-Scheduled-At: 2020-01-01T01:00:00Z\r\n", false),
        ])
    func whatARepeatIs(first: String, second: String, isRepeat: Bool) async throws {
        let (fixture, grant) = try await fixture()
        let header = "From: from@example.com\r\nMessage-ID: <alarm@ups1>\r\n"
        let one = try await fixture.send(grant, header: header + first).get()
        let two = try await fixture.send(grant, header: header + second).get()
        #expect((one == two) == isRepeat)
    }

    /// A Message-ID identifies a message only if it has the form `<left@right>` (RFC 5322 section 3.6.4).
    @Test(
        arguments: [
            ("<alarm@ups1>", true), ("<>", false), ("alarm", false), ("<alarm>", false), ("<@ups1>", false),
            ("<alarm@>", false), ("<a@b> <c@d>", false), ("alarm@ups1", false),
        ])
    func whatAMessageIDIs(id: String, isOne: Bool) async throws {
        let (fixture, grant) = try await fixture()
        let header = "From: from@example.com\r\nMessage-ID: \(id)\r\n"
        let one = try await fixture.send(grant, header: header).get()
        let two = try await fixture.send(grant, header: header).get()
        #expect((one == two) == isOne)
    }

    /// The message gets the tags of the face and those of the header. A time that the face was given takes precedence
    /// over the header's time.
    @Test func protocolAndHeaderOptionsAreMerged() async throws {
        let (fixture, grant) = try await fixture()
        let time = Sample.now + .seconds(60)
        var options = SubmissionOptions(tags: ["a", "b"])
        options.idempotency = Idempotency(request: Fingerprint(key: grant.id, request: "x"), content: [1])
        let header = "From: from@example.com\r\nMessage-ID: <a@b>\r\nHiveku-Tags: b, c\r\n"
        func submission(_ options: SubmissionOptions) throws -> Submission? {
            var reception = try fixture.admission.begin(
                from: .null, origin: AdmissionFixture.origin, grant, options: options
            ).get()
            #expect(try reception.add(address("to@example.net")) == nil)
            guard case .now = reception.open() else { return nil }
            Self.content(header + "Hiveku-Scheduled-At: \(time)\r\n\r\n", into: &reception)
            guard case .complete(let message) = reception.finish() else { return nil }
            return message.submission
        }
        var found = try #require(try submission(options))
        #expect(found.tags == ["a", "b", "c"] && found.scheduledAt == time && found.waitsUntil == time)
        // The client's idempotency key counts, and not the Message-ID.
        #expect(found.idempotency == options.idempotency && found.fingerprint == nil)
        options = SubmissionOptions(scheduledAt: time + .seconds(1))
        found = try #require(try submission(options))
        #expect(found.tags == ["b", "c"] && found.scheduledAt == options.scheduledAt && found.fingerprint != nil)
    }

    @Test(
        arguments: [
            (SubmissionOptions(tags: [""]), ""),
            (SubmissionOptions(tags: (0..<10).map { "\($0)" }), "Hiveku-Tags: x\r\n"),
            (SubmissionOptions(scheduledAt: Sample.now + .seconds(31 * 86_400)), ""),
            (SubmissionOptions(), "Hiveku-Scheduled-At: soon\r\n"),
        ])
    func whatBreaksARuleIsRefused(_ options: SubmissionOptions, _ field: String) async throws {
        let (fixture, grant) = try await fixture { $0.limits = SendingLimits(perSecond: 1) }
        for _ in 0..<3 {
            var reception = try fixture.admission.begin(
                from: .null, origin: AdmissionFixture.origin, grant, options: options
            ).get()
            #expect(try reception.add(address("to@example.net")) == nil)
            guard case .now = reception.open() else {
                Issue.record("a refused message counts against the rate")
                return
            }
            Self.content("From: from@example.com\r\n\(field)\r\n", into: &reception)
            guard case .refused(let refusal) = reception.finish() else {
                Issue.record("the message was accepted")
                return
            }
            #expect(refusal.reason == .invalid)
        }
    }
}
