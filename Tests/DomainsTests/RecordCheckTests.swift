import InternetMessage
import Resolver
import Testing

@testable import Domains

@Suite("Records that a domain should have") struct RecordCheckTests {
    private func domain(_ mailFrom: SendingDomain.MailFrom? = nil) throws -> SendingDomain {
        SendingDomain(
            name: try #require(DomainName(text: "Example.com")), status: .pending, isSendingEnabled: false,
            dkim: .init(tokens: ["one", "two"], zone: "dkim.eu-west-1.amazonses.com"), mailFrom: mailFrom)
    }

    @Test func `DKIM points into the zone that SES names, and the rest is advice`() throws {
        let records = DomainRecord.records(of: try domain())
        #expect(
            records.map { "\($0.purpose) \($0.type.name) \($0.name) \($0.value) \($0.isRequired)" } == [
                "dkim CNAME one._domainkey.example.com one.dkim.eu-west-1.amazonses.com true",
                "dkim CNAME two._domainkey.example.com two.dkim.eu-west-1.amazonses.com true",
                "spf TXT example.com v=spf1 include:amazonses.com ~all false",
                "dmarc TXT _dmarc.example.com v=DMARC1; p=none; false",
            ])
    }

    @Test func `With a MAIL FROM domain SPF is needed there`() throws {
        let records = DomainRecord.records(
            of: try domain(.init(domain: "b.example.com", host: "feedback-smtp.eu-west-1.amazonses.com")))
        #expect(
            records.dropFirst(2).map { "\($0.purpose) \($0.type.name) \($0.name) \($0.value) \($0.isRequired)" } == [
                "mailFrom MX b.example.com 10 feedback-smtp.eu-west-1.amazonses.com true",
                "spf TXT b.example.com v=spf1 include:amazonses.com ~all true",
                "dmarc TXT _dmarc.example.com v=DMARC1; p=none; false",
            ])
    }

    @Test func `Lines for a zone file are what a name server reads`() {
        #expect(
            DomainRecord(.dkim, .cname, "a.example.com", "b.example", isRequired: true).zoneLine
                == "a.example.com. IN CNAME b.example.")
        #expect(
            DomainRecord(.mailFrom, .mx, "a.example.com", "10 b.example", isRequired: true).zoneLine
                == "a.example.com. IN MX 10 b.example.")
        #expect(
            DomainRecord(.spf, .txt, "a.example.com", #"say "\ü""#, isRequired: true).zoneLine
                == #"a.example.com. IN TXT "say \"\\\195\188\"""#)
        let long = DomainRecord(.spf, .txt, "a.example.com", String(repeating: "a", count: 300), isRequired: true)
        #expect(
            long.zoneLine
                == "a.example.com. IN TXT \"\(String(repeating: "a", count: 255))\" \"\(String(repeating: "a", count: 45))\""
        )
    }

    private func check(_ record: DomainRecord, _ data: [DNSData]) -> RecordFinding {
        CheckedRecord(record, answer: .success(data)).finding
    }

    @Test func `A CNAME is compared without regard to case and the last dot`() {
        let record = DomainRecord(.dkim, .cname, "a.example.com", "T.dkim.amazonses.com", isRequired: true)
        #expect(check(record, []) == .missing)
        #expect(check(record, [.cname("t.DKIM.amazonses.com.")]) == .found(["t.DKIM.amazonses.com."]))
        #expect(check(record, [.cname("t.example")]) == .wrong(["t.example"], reason: nil))
        #expect(
            CheckedRecord(record, answer: .failure(DNSFailure(reason: "no answer"))).finding == .unknown("no answer"))
    }

    @Test func `An MX record may have any preference, but no other host beside it`() {
        let record = DomainRecord(.mailFrom, .mx, "b.example.com", "10 f.amazonses.com", isRequired: true)
        #expect(check(record, [.mx(preference: 20, "f.amazonses.com")]).word == .found)
        #expect(
            check(record, [.mx(preference: 10, "f.amazonses.com"), .mx(preference: 20, "mx.example")]).word == .wrong)
    }

    @Test(arguments: [
        ([], "missing", "v=spf1 include:amazonses.com ~all"),
        (["google-site-verification=x"], "missing", "v=spf1 include:amazonses.com ~all"),
        (["v=spf1 include:amazonses.com -all"], "found", "v=spf1 include:amazonses.com ~all"),
        (["V=SPF1 +include:AmazonSES.com ~all", "v=spf10 -all"], "found", "v=spf1 include:amazonses.com ~all"),
        (["v=spf1 -include:amazonses.com ~all"], "wrong", "v=spf1 include:amazonses.com -include:amazonses.com ~all"),
        (["v=spf1 mx -all"], "wrong", "v=spf1 include:amazonses.com mx -all"),
        (["v=spf1"], "wrong", "v=spf1 include:amazonses.com"),
        (["v=spf1 include:amazonses.com ~all", "v=spf1 mx"], "wrong", "v=spf1 include:amazonses.com ~all"),
        (["v=spf1 é"], "wrong", "v=spf1 include:amazonses.com ~all"),
    ])
    func `SPF needs one record that includes SES, and keeps what else is in it`(
        _ texts: [String], _ word: String, _ value: String
    ) throws {
        let record = DomainRecord(.spf, .txt, "example.com", DomainRecord.spf, isRequired: false)
        let checked = CheckedRecord(record, answer: .success(texts.map { .txt($0) }))
        #expect(checked.finding.word.rawValue == word)
        #expect(checked.record.value == value)
        #expect((checked.finding.reason != nil) == (word == "wrong"))
    }

    @Test(arguments: [
        ([], "missing"), (["v=spf1"], "missing"), (["v=DMARC1; p=none"], "found"),
        (["v = DMARC1 ;p= Reject ; rua=mailto:a@example.com"], "found"), (["v=DMARC1"], "wrong"),
        (["v=DMARC1; p=maybe"], "wrong"), (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "wrong"),
        (["v=dmarc1; p=none"], "missing"), (["p=none; v=DMARC1"], "missing"), (["="], "missing"), ([""], "missing"),
    ])
    func `DMARC needs one record with a policy that receivers know`(_ texts: [String], _ word: String) {
        let record = DomainRecord(.dmarc, .txt, "_dmarc.example.com", DomainRecord.dmarc, isRequired: false)
        #expect(check(record, texts.map { .txt($0) }).word.rawValue == word)
    }

    @Test func `What is there is told in part where it is much`() {
        let record = DomainRecord(.spf, .txt, "example.com", DomainRecord.spf, isRequired: false)
        let long = "v=spf1 " + String(repeating: "a", count: 5000)
        let finding = check(record, (0..<40).map { _ in .txt(long) })
        #expect(finding.values.count == 8 && finding.values.allSatisfy { $0.count == 1001 })
        // If the existing record is too long to be checked, the suggested value does not contain it.
        #expect(CheckedRecord(record, answer: .success([.txt(long)])).record.value == DomainRecord.spf)
    }
}
