import TestSupport
import Testing

@testable import Resolver

/// An answer in the form that a DNS server sends (RFC 1035 section 4.1).
struct Answer {
    var octets: [UInt8]

    init(question name: String, type: UInt16, records: Int, isAnswer: Bool = true) {
        octets = [
            0x12, 0x34, isAnswer ? 0x81 : 0x01, 0x80, 0, 1, UInt8(records >> 8), UInt8(records & 0xFF), 0, 0, 0, 0,
        ]
        octets += Answer.name(name) + Answer.number(type) + Answer.number(1)
    }

    static func number(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }

    static func name(_ text: String) -> [UInt8] {
        text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    static func texts(_ strings: [[UInt8]]) -> [UInt8] { strings.flatMap { [UInt8($0.count)] + $0 } }

    /// - Parameter owner: the octets of the record's name; nil for a pointer to the question's name.
    mutating func add(owner: [UInt8]? = nil, _ type: UInt16, _ data: [UInt8]) {
        octets += (owner ?? [0xC0, 12]) + Answer.number(type) + Answer.number(1) + [0, 0, 0, 60]
        octets += Answer.number(UInt16(data.count)) + data
    }
}

@Suite("DNS answers") struct DNSMessageTests {
    private func records(_ type: DNSRecordType, _ answer: Answer, of name: String = "a.example.com") throws -> [DNSData]
    {
        try DNSMessage.records(type, of: name, in: answer.octets)
    }

    @Test func `A name that is compressed is read whole`() throws {
        var answer = Answer(question: "a.example.com", type: 5, records: 1)
        // The name is "x" and a pointer to octet 14, where the name example.com begins.
        answer.add(5, [1, UInt8(ascii: "X"), 0xC0, 14])
        #expect(try records(.cname, answer) == [.cname("x.example.com")])
    }

    @Test func `The strings of a TXT record are joined`() throws {
        var answer = Answer(question: "a.example.com", type: 16, records: 3)
        answer.add(16, Answer.texts([Array("v=spf1 ".utf8), Array("-all".utf8)]))
        answer.add(16, [])
        answer.add(16, Answer.texts([[0xFF, 0x41]]))
        #expect(try records(.txt, answer) == [.txt("v=spf1 -all"), .txt(""), .txt("\u{FFFD}A")])
    }

    @Test func `An MX record has its preference`() throws {
        var answer = Answer(question: "a.example.com", type: 15, records: 1)
        answer.add(15, Answer.number(10) + Answer.name("MX.Example.NET"))
        #expect(try records(.mx, answer) == [.mx(preference: 10, "mx.example.net")])
    }

    @Test func `An alias leads to the records of another name, and foreign ones do not count`() throws {
        var answer = Answer(question: "A.Example.com", type: 16, records: 4)
        answer.add(owner: Answer.name("other.example"), 16, Answer.texts([Array("foreign".utf8)]))
        answer.add(owner: Answer.name("b.example.net"), 16, Answer.texts([Array("own".utf8)]))
        answer.add(5, Answer.name("b.example.net"))
        // This record has another class (CHAOS), so it does not count.
        answer.octets +=
            Answer.name("b.example.net") + Answer.number(16) + Answer.number(3) + [0, 0, 0, 0, 0, 2, 1, 0x78]
        #expect(try records(.txt, answer, of: "a.example.com") == [.txt("own")])
    }

    @Test func `A record of another type is none`() throws {
        var answer = Answer(question: "a.example.com", type: 5, records: 1)
        answer.add(1, [192, 0, 2, 1])
        #expect(try records(.cname, answer) == [])
    }

    @Test func `What is neither a letter nor a digit in a name is shown by its number`() throws {
        var answer = Answer(question: "a.example.com", type: 5, records: 1)
        answer.add(5, [4, 0x2E, 0x5C, 0x0A, UInt8(ascii: "_"), 0])
        #expect(try records(.cname, answer) == [.cname("\\046\\092\\010_")])
    }

    @Test(
        arguments: [
            // Pointers that lead to themselves, forwards, in a circle, and behind the end.
            [0xC0, 43], [0xC0, 200], [1, 0x61, 0xC0, 43], [0xFF, 0xFF],
        ] as [[UInt8]])
    func `A compressed name that leads nowhere is refused`(_ data: [UInt8]) {
        var answer = Answer(question: "a.example.com", type: 5, records: 1)
        // The data begin at octet 43: after the header (12 octets), the question (19) and the record's own fields (12).
        answer.add(5, data)
        #expect(throws: DNSMessageError.self) { try records(.cname, answer) }
    }

    @Test func `Aliases in a circle are refused`() {
        var answer = Answer(question: "a.example.com", type: 16, records: 2)
        answer.add(5, Answer.name("b.example.com"))
        answer.add(owner: Answer.name("b.example.com"), 5, Answer.name("a.example.com"))
        let error = #expect(throws: DNSMessageError.self) { try records(.txt, answer) }
        #expect(error?.reason.contains("aliases") == true)
    }

    @Test func `A name of over 255 octets is refused`() {
        var answer = Answer(question: "a.example.com", type: 5, records: 1)
        answer.add(5, (0..<5).flatMap { _ in [63] + [UInt8](repeating: 0x61, count: 63) } + [0])
        let error = #expect(throws: DNSMessageError.self) { try records(.cname, answer) }
        #expect(error?.reason.contains("malformed") == true)
    }

    @Test func `A question is no answer`() {
        let answer = Answer(question: "a.example.com", type: 5, records: 0, isAnswer: false)
        let error = #expect(throws: DNSMessageError.self) { try records(.cname, answer) }
        #expect(error?.reason.contains("question") == true)
    }

    @Test func `An answer that is cut off anywhere is refused`() throws {
        var answer = Answer(question: "a.example.com", type: 16, records: 2)
        answer.add(5, Answer.name("b.example.net"))
        answer.add(owner: Answer.name("b.example.net"), 16, Answer.texts([Array("text".utf8)]))
        for length in answer.octets.indices {
            #expect(throws: DNSMessageError.self, "\(length)") {
                try DNSMessage.records(.txt, of: "a.example.com", in: Array(answer.octets.prefix(length)))
            }
        }
    }

    @Test func `Whatever comes, what is read of it is bounded`() {
        var generator = SeededGenerator(seed: 20)
        var answer = Answer(question: "a.example.com", type: 16, records: 3)
        answer.add(5, [1, 0x62, 0xC0, 14])
        answer.add(owner: [1, 0x62, 0xC0, 14], 16, Answer.texts([Array("v=spf1 -all".utf8), []]))
        answer.add(owner: [1, 0x62, 0xC0, 14], 15, Answer.number(10) + [0xC0, 12])
        for _ in 0..<20_000 {
            var octets = answer.octets
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                octets[Int.random(in: octets.indices, using: &generator)] = UInt8.random(
                    in: .min ... .max, using: &generator)
            }
            octets = Array(octets.prefix(Int.random(in: 0...octets.count, using: &generator)))
            for type in DNSRecordType.allCases {
                guard let found = try? DNSMessage.records(type, of: "a.example.com", in: octets) else { continue }
                #expect(found.count <= DNSMessage.mostRecords)
                for case .cname(let name) in found { #expect(name.utf8.count <= 4 * 255) }
            }
        }
    }
}
