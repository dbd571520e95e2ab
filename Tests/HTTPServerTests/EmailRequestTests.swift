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

/// The mistakes in a document, one a line: place and sentence.
private func mistakes(_ result: Result<some Any, EmailRequestFailure>) -> [String] {
    switch result {
    case .success: []
    case .failure(.invalid(let errors)): errors.map { "\($0.pointer.fragment) \($0.detail)" }
    case .failure(.idempotencyKey(let sentence)): [sentence]
    }
}

/// The least email there is, with some fields changed; nil takes one out.
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

/// What is said of `nobody` as an address.
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
    @Test("The least email there is")
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
        "Null is as good as a field that is left out",
        arguments: [
            "cc", "bcc", "reply_to", "html", "attachments", "tags", "headers", "scheduled_at", "idempotency_key",
        ])
    func null(field: String) throws {
        #expect(throws: Never.self) { try read(email([field: .null])).get() }
    }

    static let refusals: [(KeyValuePairs<String, JSON?>, [String])] = [
        (["from": nil], ["#/from \"from\" is required: user@example.com or Name <user@example.com>."]),
        (["from": .null], ["#/from \"from\" is required: user@example.com or Name <user@example.com>."]),
        (["from": ["a@example.com"]], ["#/from \"from\" must be a string, not an array."]),
        (["to": nil], ["#/to \"to\" is required: a string, or an array of strings."]),
        (["to": []], ["#/to \"to\" must have at least one address."]),
        (["to": 1], ["#/to \"to\" must be a string or an array of strings, not a number."]),
        (
            ["to": ["b@example.net", false, ["email": "c@example.net"]]],
            [
                "#/to/1 An address must be a string such as user@example.com or Name <user@example.com>, not a boolean.",
                "#/to/2 An address must be a string such as user@example.com or Name <user@example.com>, not an object.",
            ]
        ),
        (
            ["cc": .array(Array(repeating: "c@example.net", count: 6))],
            ["#/cc A message can have at most 5 recipients, and this one has 6; send it in several messages."]
        ),
        (
            ["cc": ["1@example.net", "2@example.net", "3@example.net"], "bcc": ["4@example.net", "5@example.net"]],
            ["#/to A message can have at most 5 recipients, and this one has 6; send it in several messages."]
        ),
        (["subject": nil], ["#/subject \"subject\" is required: a string."]),
        (["subject": 5], ["#/subject \"subject\" must be a string, not a number."]),
        (["text": nil], ["#/text \"html\", \"text\" or both are required."]),
        (["html": true], ["#/html \"html\" must be a string, not a boolean."]),
        (["tags": "one"], ["#/tags \"tags\" must be an array of strings, not a string."]),
        (["tags": ["one", 2]], ["#/tags/1 A tag must be a string, not a number."]),
        (
            ["tags": ["", "a\nb"]],
            [
                "#/tags/0 The tag is empty; leave it out.",
                "#/tags/1 The tag contains a control character or a line separator; remove it.",
            ]
        ),
        (
            ["tags": .array((0..<11).map { JSON("\($0)") })],
            ["#/tags The message has 11 tags; give it at most 10."]
        ),
        (
            ["tags": .array(Array(repeating: "t", count: 41))],
            ["#/tags \"tags\" has 41 elements; send at most 10 different tags."]
        ),
        (["headers": ["X"]], ["#/headers \"headers\" must be an object of strings, not an array."]),
        (
            ["headers": ["X-A/B": 1]],
            ["#/headers/X-A~1B The value of a header field must be a string, not a number."]
        ),
        (["attachments": [:]], ["#/attachments \"attachments\" must be an array of objects, not an object."]),
        (["attachments": ["x"]], ["#/attachments/0 An attachment must be an object, not a string."]),
        (
            ["attachments": [[:]]],
            [
                "#/attachments/0/filename \"filename\" is required: a string.",
                "#/attachments/0/content \"content\" is required: the file in base64.",
            ]
        ),
        (
            ["attachments": [["filename": "a", "content": "", "path": "/etc/passwd"]]],
            [
                "#/attachments/0/path The field \"path\" is not known: the relay reads no files and fetches no URLs; put the file into \"content\" as base64."
            ]
        ),
        (
            ["attachments": [["name": "a", "filename": "b", "content": ["data": 1]]]],
            [
                "#/attachments/0/name The field \"name\" is not known; did you mean \"filename\"?",
                "#/attachments/0/content \"content\" must be a string in base64, not an object.",
            ]
        ),
        (
            ["scheduled_at": "tomorrow"],
            [
                "#/scheduled_at \"scheduled_at\" must be a date and time with its zone, such as 2026-12-01T09:00:00Z or 2026-12-01T10:00:00+01:00."
            ]
        ),
        (["scheduled_at": 1_795_824_000], ["#/scheduled_at \"scheduled_at\" must be a string, not a number."]),
        (
            ["scheduled_at": "2027-01-01T00:00:00Z"],
            [
                "#/scheduled_at The message is scheduled for 2027-01-01T00:00:00.000Z, which is more than 30 days ahead; choose an earlier time."
            ]
        ),
        (
            ["idempotency_key": "é"],
            ["#/idempotency_key An idempotency key must be 1 to 256 printable ASCII characters."]
        ),
        (["replyTo": "x"], ["#/replyTo The field \"replyTo\" is not known; did you mean \"reply_to\"?"]),
        (
            ["scheduledAt": "x"],
            ["#/scheduledAt The field \"scheduledAt\" is not known; did you mean \"scheduled_at\"?"]
        ),
        (["Reply-To": "x"], ["#/Reply-To The field \"Reply-To\" is not known; did you mean \"reply_to\"?"]),
        (["sbuject": "x"], ["#/sbuject The field \"sbuject\" is not known; did you mean \"subject\"?"]),
        (["recipent": "x"], ["#/recipent The field \"recipent\" is not known; did you mean \"to\"?"]),
        (["body": "x"], ["#/body The field \"body\" is not known; did you mean \"text\"?"]),
        (
            ["zzzzz": "x"],
            [
                "#/zzzzz The field \"zzzzz\" is not known; leave it out. The fields are: from, to, cc, bcc, reply_to, subject, html, text, attachments, tags, headers, scheduled_at, idempotency_key, template_id, variables."
            ]
        ),
        (
            ["template_id": "welcome", "variables": [:]],
            [
                "#/text \"text\" can't stand beside \"template_id\": the template gives it; leave one of the two out.",
                "#/template_id \"template_id\" must be the id of a template, such as tpl_0123456789abcdefghjk, or of one of its versions, such as tpl_0123456789abcdefghjk@3.",
            ]
        ),
        (
            ["from": "nobody", "to": [1], "subject": nil, "tags": 1, "colour": "red"],
            [
                "#/colour The field \"colour\" is not known; leave it out. The fields are: from, to, cc, bcc, reply_to, subject, html, text, attachments, tags, headers, scheduled_at, idempotency_key, template_id, variables.",
                "#/tags \"tags\" must be an array of strings, not a number.",
                "#/from \(noMailbox)",
                "#/to/0 An address must be a string such as user@example.com or Name <user@example.com>, not a number.",
                "#/subject \"subject\" is required: a string.",
            ]
        ),
    ]

    @Test("All mistakes are told, each with its place", arguments: refusals.indices)
    func refusal(index: Int) {
        let (changes, expected) = Self.refusals[index]
        #expect(mistakes(read(email(changes))) == expected)
    }

    @Test(
        "What is no object is no email",
        arguments: [([], "an array"), ("x", "a string"), (nil, "null")] as [(JSON, String)])
    func noObject(document: JSON, kind: String) {
        #expect(mistakes(read(document)) == ["# An email must be an object, not \(kind)."])
    }

    @Test("The word for the mistakes is that of all of them")
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

    @Test("Mistakes are counted, too")
    func manyMistakes() {
        let fields = (0..<1000).map { JSONObject.Member(JSONString("unknown-field-\($0)"), 1) }
        let told = mistakes(read(.object(JSONObject(fields))))
        #expect(told.count == ValidationErrors.limit + 1)
        #expect(told.last == "# There are more mistakes than these 100.")
    }

    @Test("A recipient who is named twice counts once")
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

    @Test("A time is kept as it is asked for, also when it has passed")
    func past() throws {
        let before = try #require(Timestamp(rfc3339: "2020-01-01T00:00:00Z".utf8))
        #expect(try read(email(["scheduled_at": "2020-01-01T00:00:00Z"])).get().scheduledAt == before)
        #expect(try read(email(["scheduled_at": JSON(now.rfc3339)])).get().scheduledAt == now)
        let horizon = now + .seconds(30 * 86_400)
        #expect(try read(email(["scheduled_at": JSON(horizon.rfc3339)])).get().scheduledAt == horizon)
    }

    @Test("Header and field must name one idempotency key")
    func idempotencyKeys() throws {
        let one = try IdempotencyKey("one")
        #expect(try read(email(), header: one).get().idempotency?.key == one)
        #expect(try read(email(["idempotency_key": "one"]), header: one).get().idempotency?.key == one)
        #expect(
            try read(email(["idempotency_key": "one"])).get().idempotency
                == read(email(), header: one).get().idempotency)
        guard case .failure(.idempotencyKey) = read(email(["idempotency_key": "two"]), header: one) else {
            Issue.record("taken")
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

    @Test("An array, or an object with one")
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
        #expect(array.items.map(mistakes) == [[], ["#/1/subject \"subject\" is required: a string."], []])
        let object = try read(["emails": items]).get()
        #expect(object.items.map(mistakes) == [[], ["#/emails/1/subject \"subject\" is required: a string."], []])
        #expect(try read([nil]).get().items.map(mistakes) == [["#/0 An email must be an object, not null."]])
    }

    static let refusals: [(JSON, [String])] = [
        ([], ["# A batch must have 1 to 100 emails, and this one has 0; put the emails into an array."]),
        (
            ["emails": .array(Array(repeating: email(), count: 101))],
            ["#/emails A batch must have 1 to 100 emails, and this one has 101; send them in several batches."]
        ),
        ("x", ["# An array of emails is expected, not a string."]),
        ([:], ["#/emails A batch must have 1 to 100 emails, and this one has 0; put the emails into an array."]),
        (["emails": email()], ["#/emails An array of emails is expected, not an object."]),
        (
            ["email": [email()]],
            [
                "#/email The field \"email\" is not known; did you mean \"emails\"?",
                "#/emails A batch must have 1 to 100 emails, and this one has 0; put the emails into an array.",
            ]
        ),
    ]

    @Test("What is no batch is refused as a whole", arguments: refusals.indices)
    func refusal(index: Int) {
        let (document, expected) = Self.refusals[index]
        #expect(mistakes(read(document)) == expected)
    }

    @Test("A batch has one idempotency key, or each of its emails has one")
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
        #expect(
            try read(items, header: one).get().items.map(mistakes) == [
                [
                    "#/0/idempotency_key The batch has an idempotency key for all of its emails; remove either that key or those of the emails."
                ], [],
            ])
    }
}
