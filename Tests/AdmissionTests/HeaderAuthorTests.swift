import Foundation
import InternetMessage
import RelayCore
import TestSupport
import Testing

@testable import Admission

/// The authors that a header may name, for keys with and without a list of domains.
@Suite("Authors of a header and a key's domains") struct HeaderAuthorTests {
    private static func summary(_ header: String) -> Result<HeaderSummary, MessageRejection> {
        var preparation = MessagePreparation(
            policy: PreparationPolicy(),
            context: PreparationContext(
                received: nil, date: "Tue, 24 Nov 2026 14:33:17 +0000", messageID: "<1@relay.test>"))
        var output: [UInt8] = []
        Array((header + "\r\n\r\nHello\r\n").utf8).withUnsafeBytes { preparation.consume($0, into: &output) }
        return preparation.finish(into: &output)
    }

    private static func key(_ domains: [String]) -> Key {
        var key = Sample.key().stored.key
        key.domains = domains.map { DomainPattern(normalised: $0) }
        return key
    }

    private static let library =
        "From: =?utf-8?q?J=C3=BCrgen_M=C3=BCller_=28jm=40kunde=2Eexample=29?= <app@shop.example>"

    @Test(
        "Every possible author must be on the list, and an unclear author is on no list",
        arguments: [
            (library, [], nil), (library, ["shop.example"], .headerDomain),
            (library, ["shop.example", "kunde.example"], nil), (library, ["kunde.example"], .headerDomain),
            ("From: \"app@shop.example\" <app@shop.example>", ["shop.example"], nil),
            ("From: app@shop.example <app@shop.example>", ["shop.example"], nil),
            ("From: =?utf-8?q?M=C3=BCller=2C_J=2E_=5BShop=5D?= <app@shop.example>", ["shop.example"], nil),
            ("From: a@shop.example (=?utf-8?q?=29m?=)", ["shop.example"], .headerFrom),
            ("From: a@shop.example (=?utf-8?q?=29m?=)", [], nil),
            ("From: =?iso-2022-kr?q?x?= <a@shop.example>", ["shop.example"], .headerFrom),
            ("From: =?iso-2022-kr?q?x?= <a@shop.example>", [], nil),
            (
                "From: a@shop.example\r\nSender: =?utf-8?q?ceo=40evil=2Eexample?= <b@shop.example>", ["shop.example"],
                .headerDomain
            ),
            (
                "From: a@shop.example\r\nSender: =?utf-8?q?ceo=40evil=2Eexample?= <b@shop.example>",
                ["shop.example", "evil.example"], nil
            ),
            (
                "From: a@shop.example\r\nResent-Sender: b@shop.example (=?utf-8?q?=29m?=)", ["shop.example"],
                .headerFrom
            ),
            ("From: <@evil.example:a@shop.example>", ["shop.example"], .headerDomain),
        ] as [(String, [String], RefusalReason?)])
    func verdict(header: String, domains: [String], reason: RefusalReason?) throws {
        let summary = try Self.summary(header).get()
        let refusal = KeyVerdict.ofHeader(summary, key: Self.key(domains))
        #expect(refusal?.reason == reason)
        // The store decides in the same way, by the header's domains.
        #expect(Self.key(domains).refusal(of: summary.claimedDomains) == refusal)
        #expect(refusal?.explanation.utf8.allSatisfy { (0x20...0x7E).contains($0) } != false)
    }

    @Test("The sentences say why, and what to change")
    func sentences() throws {
        let other = KeyVerdict.ofHeader(try Self.summary(Self.library).get(), key: Self.key(["shop.example"]))
        #expect(other?.explanation.mentions("kunde.example", "display name", "API key", "only", "shop.example") == true)
        let doubt = KeyVerdict.ofHeader(
            try Self.summary("From: a@shop.example (=?utf-8?q?=29m?=)").get(), key: Self.key(["shop.example"]))
        #expect(
            doubt?.explanation.mentions("API key", "domains", "From field", "an @", "Name <user@example.com>") == true)
    }
}
