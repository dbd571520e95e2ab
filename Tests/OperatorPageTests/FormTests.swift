import RelayCore
import TestSupport
import Testing

@testable import OperatorPage

@Suite struct FormTests {
    @Test func fieldsAreReadByTheirNames() throws {
        let form = try #require(Form("name=+My+shop+&scope=a&scope=b&list=a%0D%0Ab%2C+c&box=1&n=1%2C000"))
        #expect(form["name"] == "My shop")
        #expect(form.raw("name") == " My shop ")
        #expect(form["missing"].isEmpty)
        #expect(form.all("scope") == ["a", "b"])
        #expect(form.list("list") == ["a", "b", "c"])
        #expect(form.has("box") && !form.has("other"))
        #expect(try form.number("n", "N") == 1000)
        #expect(try form.number("missing", "N") == nil)
        let mistake = #expect(throws: FormMistake.self) { _ = try form.number("name", "N") }
        #expect(mistake?.field == "name")
        let sentence = mistake?.sentence ?? ""
        #expect(sentence.mentions("N", "whole number", "100"), "\(sentence)")
    }

    @Test(arguments: ["a=%", "a=%zz", "a=%ff"]) func malformedFormEncodingIsRejected(_ text: String) {
        #expect(Form(text) == nil)
    }
}

@Suite struct KeyFormTests {
    private static let time = Timestamp(milliseconds: 1_700_000_000_000)

    private static func key() throws -> Key {
        Key(
            id: try #require(KeyID("AbCdEfGh")), name: "shop", environment: .live, scopes: [.send, .webhooks],
            limits: SendingLimits(perSecond: 2.5, burst: 7, perDay: 100),
            domains: [DomainPattern(normalised: "*.example.com")],
            networks: [try NetworkBlock("192.0.2.0/24")], createdAt: time,
            expiresAt: Timestamp(milliseconds: 1_900_000_012_345))
    }

    /// Sending the form without edits changes nothing, not even the time of day at which the key expires.
    @Test func aFormThatNobodyTouchedChangesNothing() throws {
        let key = try Self.key()
        var changed = key
        try KeyForm.change(KeyForm.fields(of: key), of: key, now: Self.time)(&changed)
        #expect(changed == key)
    }

    @Test func formValuesBecomeTheKeysRules() throws {
        var key = try Self.key()
        let form = Form([
            ("name", "other"), ("scope", "email:batch"), ("per_second", ""), ("domains", "Example.ORG\nexample.net"),
            ("expires", "2030-12-31"),
            ("webhooks_for_all", "1"),
        ])
        try KeyForm.change(form, of: key, now: Self.time)(&key)
        #expect(key.name == "other")
        #expect(key.scopes == [.batch])
        #expect(key.limits == SendingLimits())
        #expect(key.domains.map(\.description) == ["example.org", "example.net"])
        #expect(key.networks.isEmpty)
        #expect(key.expiresAt?.rfc3339 == "2030-12-31T00:00:00.000Z")
        #expect(!key.detectsRepeats && key.webhooksForAll)
    }

    @Test(arguments: [
        ("name", "", ["1", "100", "characters"]),
        ("name", "hk_live_AbCdEfGhijklmnopqrstuvwx", ["API key"]),
        ("scope", "email:all", ["email:all", "email:send"]), ("per_second", "fast", ["number", "10", "0.5"]),
        ("per_second", "0", ["0.0001", "1,000,000"]),
        ("per_second", "inf", ["number", "10", "0.5"]), ("per_second", "1000001", ["0.0001", "1,000,000"]),
        ("burst", "x", ["whole number", "100"]), ("burst", "0", [" 1 "]),
        ("per_day", "-1", [" 1 "]),
        ("domains", "no_domain", ["no_domain", "example.com", "*.example.com"]),
        ("networks", "10.0.0.0/99", ["10.0.0.0/99"]),
        ("expires", "soon", ["2030-12-31"]),
        ("expires", "2030-02-30", ["2030-12-31"]), ("expires", "1999-12-31", ["past"]),
        ("expires", "9999-12-31", ["100 years"]),
        ("per_second", "0x10", ["number", "10", "0.5"]), ("per_second", "1e3", ["number", "10", "0.5"]),
    ])
    func mistakesNameTheFieldAndWhatWouldBeRight(_ field: String, _ value: String, _ facts: [String]) throws {
        var fields = [("name", "shop"), ("scope", "email:send")].filter { $0.0 != field }
        fields.append((field, value))
        let mistake = #expect(throws: FormMistake.self) {
            _ = try KeyForm.change(Form(fields), of: nil, now: Self.time)
        }
        #expect(mistake?.field == field)
        let sentence = mistake?.sentence ?? ""
        #expect(sentence.mentions(facts), "\(sentence)")
    }
}
