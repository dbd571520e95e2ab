import InternetMessage
import MessageComposition
import RelayCore
import StrictJSON
import Testing

@testable import HTTPServer

private let now = Timestamp(milliseconds: 1_795_824_000_000)
private let context = EmailRequest.Context(now: now, maximumRecipients: 5)

private func read(
    _ document: JSON, header: IdempotencyKey? = nil
) -> Result<EmailRequest, EmailRequestFailure> {
    Result { () throws(EmailRequestFailure) in
        try EmailRequest(document, idempotencyKey: header, context)
    }
}

/// The mistakes in a document. Each line has a place and a sentence.
private func mistakes(_ result: Result<some Any, EmailRequestFailure>) -> [String] {
    switch result {
    case .success: []
    case .failure(.invalid(let errors)): errors.map { "\($0.pointer.fragment) \($0.detail)" }
    case .failure(.idempotencyKey(let sentence)): [sentence]
    }
}

/// The smallest valid email, with some fields changed. Nil removes a field.
private func email(_ changes: KeyValuePairs<String, JSON?> = [:]) -> JSON {
    var members: [JSONObject.Member] = [
        .init("from", "a@example.com"), .init("to", "b@example.net"), .init("subject", "s"), .init("text", "t"),
    ]
    for (name, value) in changes {
        members.removeAll { $0.name.text == name }
        if let value { members.append(.init(JSONString(name), value)) }
    }
    return .object(JSONObject(members))
}

/// The sentence about `nobody` as an address.
private var noMailbox: String {
    do throws(MailboxError) {
        _ = try Mailbox(parsing: "nobody")
        return ""
    } catch {
        return error.explanation + "."
    }
}

@Suite("The document of an email")
struct EmailRequestTests {
    @Test("The smallest valid email")
    func least() throws {
        let request = try read(email()).get()
        #expect(request.email.from.address.text == "a@example.com")
        #expect(request.email.to.map(\.address.text) == ["b@example.net"])
        #expect(request.email.subject == "s" && request.email.text == "t" && request.email.html == nil)
        #expect(request.tags.isEmpty && request.scheduledAt == nil && request.idempotency == nil)
    }

    @Test("Every field reaches the email")
    func everyField() throws {
        let request = try read(
            [
                "from": "Acme Ltd <a@example.com>", "to": ["b@example.net", "B <c@example.net>"], "cc": "d@example.net",
                "bcc": ["e@example.net"], "reply_to": ["f@example.com"], "subject": "Grüße", "html": "<p>é</p>",
                "text": "é", "tags": ["one", "two", "one"], "headers": ["X-One": "1", "X-Two": "zwei"],
                "attachments": [
                    ["filename": "a.txt", "content": "QUJD"],
                    ["filename": "b.png", "content": "", "content_type": "image/png", "content_id": "logo"],
                ],
                "scheduled_at": "2026-12-01T10:00:00+01:00", "idempotency_key": "order-1",
            ]
        ).get()
        let email = request.email
        #expect(email.from.displayName == "Acme Ltd")
        #expect(email.to.map(\.address.text) == ["b@example.net", "c@example.net"])
        #expect(email.cc.map(\.address.text) == ["d@example.net"])
        #expect(email.bcc.map(\.address.text) == ["e@example.net"])
        #expect(email.replyTo.map(\.address.text) == ["f@example.com"])
        #expect(email.subject == "Grüße" && email.html == "<p>é</p>" && email.text == "é")
        #expect(email.headers == [.init(name: "X-One", value: "1"), .init(name: "X-Two", value: "zwei")])
        #expect(email.attachments.map(\.filename) == ["a.txt", "b.png"])
        #expect(email.attachments.map(\.contentType) == [nil, "image/png"])
        #expect(email.attachments.map(\.contentID) == [nil, "logo"])
        #expect(email.attachments.map { Array($0.content.bytes) } == [Array("QUJD".utf8), []])
        #expect(request.tags == ["one", "two"])
        #expect(request.scheduledAt?.rfc3339 == "2026-12-01T09:00:00.000Z")
        #expect(request.idempotency?.key.text == "order-1")
    }

    @Test(
        "Null counts as a missing field",
        arguments: [
            "cc", "bcc", "reply_to", "html", "attachments", "tags", "headers", "scheduled_at", "idempotency_key",
        ])
    func null(field: String) throws {
        #expect(throws: Never.self) { try read(email([field: .null])).get() }
    }

    /// Changes that make the email invalid, and its mistakes: the place of each, and what its sentence names.
    static let refusals: [(KeyValuePairs<String, JSON?>, [[String]])] = [
        (["from": nil], [["#/from", "from", "required", "user@example.com", "Name <user@example.com>"]]),
        (["from": .null], [["#/from", "from", "required", "user@example.com", "Name <user@example.com>"]]),
        (["from": ["a@example.com"]], [["#/from", "from", "string", "array"]]),
        (["to": nil], [["#/to", #""to""#, "required", "string", "array"]]),
        (["to": []], [["#/to", #""to""#, "address"]]),
        (["to": 1], [["#/to", #""to""#, "string", "array", "number"]]),
        (
            ["to": ["b@example.net", false, ["email": "c@example.net"]]],
            [
                ["#/to/1", "address", "string", "user@example.com", "Name <user@example.com>", "boolean"],
                ["#/to/2", "address", "string", "user@example.com", "Name <user@example.com>", "object"],
            ]
        ),
        (["cc": .array(Array(repeating: "c@example.net", count: 6))], [["#/cc", "5", "recipients", "6"]]),
        (
            ["cc": ["1@example.net", "2@example.net", "3@example.net"], "bcc": ["4@example.net", "5@example.net"]],
            [["#/to", "5", "recipients", "6"]]
        ),
        (["subject": nil], [["#/subject", "subject", "required", "string"]]),
        (["subject": 5], [["#/subject", "subject", "string", "number"]]),
        (["text": nil], [["#/text", "html", "text", "required"]]),
        (["html": true], [["#/html", "html", "string", "boolean"]]),
        (["tags": "one"], [["#/tags", "tags", "array", "strings", "a string"]]),
        (["tags": ["one", 2]], [["#/tags/1", "tag", "string", "number"]]),
        (
            ["tags": ["", "a\nb"]],
            [["#/tags/0", "tag", "empty"], ["#/tags/1", "tag", "control character", "line separator"]]
        ),
        (["tags": .array((0..<11).map { JSON("\($0)") })], [["#/tags", "11", "tags", "10"]]),
        (["tags": .array(Array(repeating: "t", count: 41))], [["#/tags", "tags", "41", "10"]]),
        (["headers": ["X"]], [["#/headers", "headers", "object", "strings", "array"]]),
        (["headers": ["X-A/B": 1]], [["#/headers/X-A~1B", "header field", "string", "number"]]),
        (["attachments": [:]], [["#/attachments", "attachments", "array", "objects", "an object"]]),
        (["attachments": ["x"]], [["#/attachments/0", "attachment", "object", "string"]]),
        (
            ["attachments": [[:]]],
            [
                ["#/attachments/0/filename", "filename", "required", "string"],
                ["#/attachments/0/content", "content", "required", "base64"],
            ]
        ),
        (
            ["attachments": [["filename": "a", "content": "", "path": "/etc/passwd"]]],
            [["#/attachments/0/path", #""path""#, "files", "URLs", #""content""#, "base64"]]
        ),
        (
            ["attachments": [["name": "a", "filename": "b", "content": ["data": 1]]]],
            [
                ["#/attachments/0/name", #""name""#, #""filename""#],
                ["#/attachments/0/content", "content", "string", "base64", "object"],
            ]
        ),
        (
            ["scheduled_at": "tomorrow"],
            [["#/scheduled_at", "scheduled_at", "zone", "2026-12-01T09:00:00Z", "2026-12-01T10:00:00+01:00"]]
        ),
        (["scheduled_at": 1_795_824_000], [["#/scheduled_at", "scheduled_at", "string", "number"]]),
        (
            ["scheduled_at": "2027-01-01T00:00:00Z"],
            [["#/scheduled_at", "2027-01-01T00:00:00.000Z", "30 days"]]
        ),
        (["idempotency_key": "é"], [["#/idempotency_key", "1", "256", "ASCII"]]),
        (["replyTo": "x"], [["#/replyTo", #""replyTo""#, #""reply_to""#]]),
        (["scheduledAt": "x"], [["#/scheduledAt", #""scheduledAt""#, #""scheduled_at""#]]),
        (["Reply-To": "x"], [["#/Reply-To", #""Reply-To""#, #""reply_to""#]]),
        (["sbuject": "x"], [["#/sbuject", #""sbuject""#, #""subject""#]]),
        (["recipent": "x"], [["#/recipent", #""recipent""#, #""to""#]]),
        (["body": "x"], [["#/body", #""body""#, #""text""#]]),
        (["zzzzz": "x"], [unknown("zzzzz")]),
        (
            ["template_id": "welcome", "variables": [:]],
            [
                ["#/text", #""text""#, "template_id"],
                ["#/template_id", "template_id", "tpl_0123456789abcdefghjk", "tpl_0123456789abcdefghjk@3"],
            ]
        ),
        (
            ["from": "nobody", "to": [1], "subject": nil, "tags": 1, "colour": "red"],
            [
                unknown("colour"), ["#/tags", "tags", "array", "strings", "number"], ["#/from", noMailbox],
                ["#/to/0", "address", "string", "user@example.com", "Name <user@example.com>", "number"],
                ["#/subject", "subject", "required", "string"],
            ]
        ),
    ]

    /// The parts of the mistake about a field whose name resembles no known name: the sentence lists all fields.
    private static func unknown(_ name: String) -> [String] {
        [
            "#/\(name)", name, "from", "to", "cc", "bcc", "reply_to", "subject", "html", "text", "attachments", "tags",
            "headers", "scheduled_at", "idempotency_key", "template_id", "variables",
        ]
    }

    @Test("All mistakes are reported, each with its place", arguments: refusals.indices)
    func refusal(index: Int) {
        let (changes, expected) = Self.refusals[index]
        let told = mistakes(read(email(changes)))
        #expect(tells(told, expected), "\(told)")
    }

    @Test(
        "A document that is not an object is not an email",
        arguments: [([], "array"), ("x", "string"), (nil, "null")] as [(JSON, String)])
    func noObject(document: JSON, kind: String) {
        let told = mistakes(read(document))
        #expect(tells(told, [["#", "email", "object", kind]]), "\(told)")
    }

    @Test("Mistakes of one kind have the word of that kind, and mixed mistakes have a general word")
    func kinds() {
        func kind(_ changes: KeyValuePairs<String, JSON?>) -> ValidationError.Kind? {
            if case .failure(let failure) = read(email(changes)) { failure.kind } else { nil }
        }
        #expect(kind(["from": "nobody"]) == .address)
        #expect(kind(["from": "nobody", "cc": "also nobody"]) == .address)
        #expect(kind(["from": "nobody", "subject": nil]) == .invalid)
        #expect(kind(["to": []]) == .recipients)
        #expect(kind(["subject": nil]) == .invalid)
    }

    @Test("The number of reported mistakes is bounded")
    func manyMistakes() {
        let fields = (0..<1000).map { JSONObject.Member(JSONString("unknown-field-\($0)"), 1) }
        let told = mistakes(read(.object(JSONObject(fields))))
        #expect(told.count == ValidationErrors.limit + 1)
        #expect(tells(Array(told.suffix(1)), [["#", "100"]]))
    }

    @Test("A recipient that is named twice counts once")
    func repeatedRecipients() throws {
        let changes: KeyValuePairs<String, JSON?> = [
            "to": ["1@example.net", "2@example.net", "3@example.net"], "cc": ["1@example.net", "4@example.net"],
            "bcc": ["2@example.net"],
        ]
        #expect(throws: Never.self) { try read(email(changes)).get() }
    }

    @Test("A tag that is named twice counts once")
    func repeatedTags() throws {
        let tags = (0..<40).map { JSON("tag \($0 % 10)") }
        #expect(try read(email(["tags": .array(tags)])).get().tags == (0..<10).map { "tag \($0)" })
    }

    @Test("A scheduled time is kept as given, even if it has passed")
    func past() throws {
        let before = try #require(Timestamp(rfc3339: "2020-01-01T00:00:00Z".utf8))
        #expect(try read(email(["scheduled_at": "2020-01-01T00:00:00Z"])).get().scheduledAt == before)
        #expect(try read(email(["scheduled_at": JSON(now.rfc3339)])).get().scheduledAt == now)
        let horizon = now + .seconds(30 * 86_400)
        #expect(try read(email(["scheduled_at": JSON(horizon.rfc3339)])).get().scheduledAt == horizon)
    }

    @Test("The header and the field must have the same idempotency key")
    func idempotencyKeys() throws {
        let one = try IdempotencyKey("one")
        #expect(try read(email(), header: one).get().idempotency?.key == one)
        #expect(try read(email(["idempotency_key": "one"]), header: one).get().idempotency?.key == one)
        #expect(
            try read(email(["idempotency_key": "one"])).get().idempotency
                == read(email(), header: one).get().idempotency)
        guard case .failure(.idempotencyKey) = read(email(["idempotency_key": "two"]), header: one) else {
            Issue.record("two different idempotency keys were accepted")
            return
        }
    }
}

@Suite("The document of a batch")
struct EmailBatchTests {
    private func read(_ document: JSON, header: IdempotencyKey? = nil) -> Result<EmailBatch, EmailRequestFailure> {
        Result { () throws(EmailRequestFailure) in
            try EmailBatch(document, idempotencyKey: header, context)
        }
    }

    /// Expects these mistakes in each item: the place of each mistake, and what its sentence names.
    private func expectMistakes(
        _ batch: EmailBatch, _ expected: [[[String]]], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(batch.items.count == expected.count, sourceLocation: sourceLocation)
        for (item, parts) in zip(batch.items, expected) {
            let told = mistakes(item)
            #expect(tells(told, parts), "\(told)", sourceLocation: sourceLocation)
        }
    }

    @Test("A batch is an array, or an object that contains an array")
    func forms() throws {
        for document in [[email(), email()], ["emails": [email(), email()]]] as [JSON] {
            let batch = try read(document).get()
            #expect(batch.items.count == 2)
            #expect(batch.items.allSatisfy { mistakes($0).isEmpty })
            #expect(batch.idempotency == nil)
        }
    }

    @Test("An item that fails does not stop the others, and its mistakes have places in the request")
    func failedItem() throws {
        let items: JSON = [email(), email(["subject": nil]), email()]
        let array = try read(items).get()
        expectMistakes(array, [[], [["#/1/subject", "subject", "required", "string"]], []])
        let object = try read(["emails": items]).get()
        expectMistakes(object, [[], [["#/emails/1/subject", "subject", "required", "string"]], []])
        expectMistakes(try read([nil]).get(), [[["#/0", "email", "object", "null"]]])
    }

    static let refusals: [(JSON, [[String]])] = [
        ([], [["#", "1", "100", " 0", "array"]]),
        (
            ["emails": .array(Array(repeating: email(), count: 101))],
            [["#/emails", "1", "100", "101", "batches"]]
        ),
        ("x", [["#", "array", "emails", "string"]]),
        ([:], [["#/emails", "1", "100", " 0", "array"]]),
        (["emails": email()], [["#/emails", "array", "emails", "object"]]),
        (
            ["email": [email()]],
            [["#/email", #""email""#, #""emails""#], ["#/emails", "1", "100", " 0", "array"]]
        ),
    ]

    @Test("A document that is not a batch is refused as a whole", arguments: refusals.indices)
    func refusal(index: Int) {
        let (document, expected) = Self.refusals[index]
        let told = mistakes(read(document))
        #expect(tells(told, expected), "\(told)")
    }

    @Test("A batch may have one idempotency key, or each of its emails may have one")
    func idempotencyKeys() throws {
        let one = try IdempotencyKey("one")
        let array: JSON = [email()]
        let named = try read(["emails": array, "idempotency_key": "one"]).get()
        #expect(named.idempotency?.key == one)
        #expect(try read(array, header: one).get().idempotency == named.idempotency)
        #expect(throws: EmailRequestFailure.idempotencyKeysDiffer) {
            try read(["emails": array, "idempotency_key": "two"], header: one).get()
        }
        let items: JSON = [email(["idempotency_key": "one"]), email()]
        #expect(try read(items).get().items.map { try $0.get().idempotency?.key } == [one, nil])
        expectMistakes(try read(items, header: one).get(), [[["#/0/idempotency_key", "batch", "key"]], []])
    }
}
