import HTTPTypes
import RelayCore
import StrictJSON
import TestSupport
import Testing

@testable import HTTPServer

@Suite("Suppressions over HTTP") struct SuppressionTests {
    @Test(arguments: [
        ("GET", "", SuppressionRoute.list), ("HEAD", "", .list), ("POST", "", .create),
        ("GET", "/a@example.com", .show("a@example.com")), ("HEAD", "/a%40example.com", .show("a@example.com")),
        ("DELETE", "/a+b@Example.COM", .remove("a+b@example.com")), ("GET", "/a%2Bb%40x.com", .show("a+b@x.com")),
        ("GET", "/a/b@x.com", .show("a/b@x.com")), ("GET", "/a%2Fb@x.com", .show("a/b@x.com")),
        ("GET", "/%22a%22@x.com", .show("a@x.com")),
        ("GET", "/a@b%C3%BCcher.example", .show("a@xn--bcher-kva.example")),
        ("GET", "/none", .show("none")),
    ])
    func finds(_ method: String, _ rest: String, _ route: SuppressionRoute) throws {
        let method = try #require(HTTPRequest.Method(method))
        #expect(Route.find(method, SuppressionRoute.path + rest) == .found(.suppressions(route)))
    }

    @Test(arguments: ["/", "/%", "/%4", "/%zz", "/%FF", "x", "s/a@x.com"])
    func knowsNoOther(_ rest: String) { #expect(Route.find(.get, SuppressionRoute.path + rest) == .notFound) }

    @Test(arguments: [("DELETE", "", "GET, HEAD, POST"), ("POST", "/a@x.com", "GET, HEAD, DELETE")])
    func tellsOfOtherMethods(_ method: String, _ rest: String, _ allowed: String) throws {
        let method = try #require(HTTPRequest.Method(method))
        #expect(Route.find(method, SuppressionRoute.path + rest) == .otherMethod(allowed: allowed))
    }

    @Test func anEntryIsFoundAtItsLocation() {
        for address in ["a@x.com", "a+b/c@x.com", "\"a b\"@x.com", "a%b@x.com"] {
            #expect(Route.find(.get, SuppressionRoute.path(of: address)) == .found(.suppressions(.show(address))))
        }
    }

    // MARK: Queries

    @Test func readsQueries() throws {
        #expect(try SuppressionsQuery.read("").get() == SuppressionsQuery())
        let read = try SuppressionsQuery.read("limit=5&reason=hard_bounce&search=a%40B").get()
        #expect(read.limit == 5 && read.reason == .hardBounce && read.search == "a@B" && read.cursor == nil)
        let filter = read.filter(of: .live)
        #expect(filter.environment == .live && filter.limit == 6 && filter.after == nil)
    }

    @Test(arguments: [
        "limit=0", "limit=101", "limit=x", "cursor=", "cursor=!", "cursor=a", "reason=bounce", "search=", "x=1",
        "limit=1&limit=1",
        "%", "cursor=_w",
    ])
    func refusesQueries(_ query: String) throws {
        #expect(throws: Problem.self) { try SuppressionsQuery.read(query).get() }
    }

    @Test func cursorContinuesAfterItsEntry() throws {
        for address in ["A?>~b@x.com", "a@x.com", "ab@x.com", "abc@x.com"] {
            let entry = Suppression(
                environment: .test, address: address, reason: .manual, createdAt: Timestamp(milliseconds: 0))
            let query = try SuppressionsQuery.read("cursor=" + SuppressionsQuery.cursor(behind: entry)).get()
            #expect(query.filter(of: .test).after == .init(entry))
        }
    }

    @Test func readsConfirmations() throws {
        #expect(try !SuppressionRemovalQuery.read("").get().isConfirmed)
        #expect(try !SuppressionRemovalQuery.read("confirm=false").get().isConfirmed)
        #expect(try SuppressionRemovalQuery.read("confirm=true").get().isConfirmed)
        for query in ["confirm", "confirm=1", "confirm=true&confirm=true", "yes=true"] {
            #expect(throws: Problem.self) { try SuppressionRemovalQuery.read(query).get() }
        }
    }

    // MARK: Bodies

    @Test func readsFields() throws {
        let plain = try SuppressionFields(["email": "A@Example.COM"])
        #expect(plain.address == "A@example.com" && plain.reason == .manual && plain.note == nil)
        let full = try SuppressionFields(["email": "a@x.com", "reason": "hard_bounce", "note": "n"])
        #expect(full.reason == .hardBounce && full.note == "n")
        let empty = try SuppressionFields(["email": "a@x.com", "reason": .null, "note": .null])
        #expect(empty.reason == .manual && empty.note == nil)
    }

    private struct Wrong: CustomStringConvertible {
        var document: String
        var places: [String]
        var facts: [String]
        var description: String { document }

        init(_ document: String, _ places: [String], _ facts: String...) {
            (self.document, self.places, self.facts) = (document, places, facts)
        }
    }

    private static let wrong: [Wrong] = [
        Wrong("[]", ["#"], "object"), Wrong("{}", ["#/email"], "required"),
        Wrong(#"{"email": 1}"#, ["#/email"], "a number"), Wrong(#"{"email": "x"}"#, ["#/email"], "@"),
        Wrong(#"{"email": "a@x.com", "reason": "spam"}"#, ["#/reason"], "hard_bounce"),
        Wrong(#"{"email": "a@x.com", "reason": "complain"}"#, ["#/reason"], #""complaint""#),
        Wrong(#"{"email": "a@x.com", "reason": true, "note": 5}"#, ["#/reason", "#/note"], "string"),
        Wrong(#"{"email": "a@x.com", "note": "a\nb"}"#, ["#/note"], "control"),
        Wrong("{\"email\": \"a@x.com\", \"note\": \"\(String(repeating: "x", count: 501))\"}", ["#/note"], "500"),
        Wrong(#"{"address": "a@x.com"}"#, ["#/address", "#/email"], #""address""#, #""email""#),
    ]

    @Test(arguments: wrong)
    private func allSuppressionMistakesAreReported(_ wrong: Wrong) throws {
        let document = try JSON(reading: Array(wrong.document.utf8))
        let failure = #expect(throws: EmailRequestFailure.self) { try SuppressionFields(document) }
        guard case .invalid(let errors)? = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(errors.map(\.pointer.fragment) == wrong.places)
        #expect(errors.contains { $0.detail.mentions(wrong.facts) }, "\(errors)")
    }

    @Test func openAPIDocumentListsFieldsReasonsAndBounds() throws {
        let document = try JSON(reading: Array(OpenAPIDocument.text.utf8))
        func value(_ path: String...) throws -> JSON {
            try path.reduce(document) { value, name in
                guard case .object(let object) = value else { throw EmailRequestFailure.invalid([]) }
                return try #require(object[name])
            }
        }
        guard case .object(let fields) = try value("components", "schemas", "NewSuppression", "properties") else {
            Issue.record("the schema has no properties")
            return
        }
        #expect(fields.members.map(\.name.text) == FieldNames.suppression.known)
        #expect(
            try value("components", "schemas", "SuppressionReason", "enum")
                == .array(SuppressionReason.allCases.map { JSON($0.rawValue) }))
        #expect(
            try value("components", "schemas", "NewSuppression", "properties", "note", "maxLength")
                == JSON(Suppression.longestNote))
    }
}
