import TestSupport
import Testing

@testable import RelayCore

@Suite("Addresses and networks")
struct NetworkBlockTests {
    @Test(
        "Addresses are read and written in one form",
        arguments: [
            ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
            ("::", "::"), ("::1", "::1"), ("2001:db8::1", "2001:db8::1"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"),
            ("::ffff:192.0.2.1", "192.0.2.1"), ("::FFFF:c000:201", "192.0.2.1"),
            ("0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"), ("fe80::1", "fe80::1"),
        ])
    func addresses(text: String, expected: String) {
        #expect(IPAddress(text)?.description == expected)
    }

    @Test(
        "Other text is not an address",
        arguments: [
            "", " ", "localhost", "mail.example.com", "192.0.2", "192.0.2.", "192.0.2.256", "192.0.2.1.1", "192.0.02.1",
            "0x7f.0.0.1", "2130706433", "192.0.2.1 ", " 192.0.2.1", "192.0.2.1/32", "192.0.2.1:25", "[::1]", ":", ":::",
            "2001:db8", "2001:db8::1::2", "12345::", "fe80::1%eth0", "fe80::1%2", "::1%lo", "1:2:3:4:5:6:7:8:9", "g::",
            "::ffff:192.0.2.256", "٢.٢.٢.٢",
        ])
    func notAddresses(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("Text with a NUL is refused")
    func null() {
        for text in ["192.0.2.1\0", "192.0.2.1\0.example", "::1\0", "\0", "192.0.2.0\0/24", "192.0.2.0/24\0"] {
            #expect(IPAddress(text) == nil)
            #expect(throws: NetworkBlock.ParseError.self) { try NetworkBlock(text) }
        }
    }

    @Test("An address is made from octets, and returns them")
    func octets() throws {
        let four = try #require(IPAddress(bytes: [192, 0, 2, 1]))
        #expect(four.isIPv4 && four.bytes == [192, 0, 2, 1] && four == IPAddress("192.0.2.1"))
        let six: [UInt8] = [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]
        let address = try #require(IPAddress(bytes: six))
        #expect(!address.isIPv4 && address.bytes == six && address == IPAddress("2001:db8::9"))
        let mapped = try #require(
            IPAddress(bytes: [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 192, 0, 2, 1]))
        #expect(mapped.isIPv4 && mapped == four)
        for count in [0, 3, 5, 15, 17] { #expect(IPAddress(bytes: [UInt8](repeating: 1, count: count)) == nil) }
    }

    @Test(
        "The bits after a prefix are cleared",
        arguments: [
            ("192.0.2.255", 32, "192.0.2.255"), ("192.0.2.255", 25, "192.0.2.128"), ("192.0.2.255", 0, "0.0.0.0"),
            ("192.0.2.255", -3, "0.0.0.0"), ("192.0.2.255", 99, "192.0.2.255"),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 64, "2001:db8:ffff:ffff::"),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65, "2001:db8:ffff:ffff:8000::"),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 33, "2001:db8:8000::"),
            ("2001:db8::ff", 127, "2001:db8::fe"), ("2001:db8::ff", 128, "2001:db8::ff"), ("2001:db8::ff", 0, "::"),
        ])
    func prefixes(text: String, count: Int, expected: String) {
        #expect(IPAddress(text)?.prefix(count).description == expected)
    }

    @Test(
        "Blocks contain their own addresses and no others",
        arguments: [
            ("192.0.2.7", ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.2.6", "192.0.2.8", "::c000:207"]),
            (
                "192.0.2.0/24", ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.9"],
                ["192.0.1.255", "192.0.3.0", "2001:db8::"]
            ),
            ("192.0.2.128/25", ["192.0.2.128", "192.0.2.255"], ["192.0.2.127"]),
            ("192.0.2.4/30", ["192.0.2.4", "192.0.2.7"], ["192.0.2.3", "192.0.2.8"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], ["::1", "2001:db8::1"]),
            ("10.0.0.0/8", ["10.255.255.255"], ["11.0.0.0", "9.255.255.255"]),
            ("2001:db8::/32", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db7:ffff::", "2001:db9::", "192.0.2.1"]),
            ("2001:db8::/64", ["2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"], ["2001:db8:0:1::"]),
            ("2001:db8::8000:0:0:0/65", ["2001:db8::8000:0:0:1"], ["2001:db8::7fff:ffff:ffff:ffff"]),
            ("2001:db8::1", ["2001:db8::1"], ["2001:db8::2", "2001:db8::"]),
            ("::/0", ["::", "2001:db8::1", "::fffe:1.2.3.4"], ["192.0.2.1", "::ffff:192.0.2.1"]),
            ("::ffff:192.0.2.0/120", ["192.0.2.1", "::ffff:192.0.2.255"], ["192.0.3.1"]),
            ("::ffff:192.0.2.7", ["192.0.2.7"], ["192.0.2.8"]),
            ("::ffff:0:0/96", ["1.2.3.4"], ["::1"]),
        ] as [(String, [String], [String])])
    func membership(text: String, inside: [String], outside: [String]) throws {
        let block = try NetworkBlock(text)
        for client in inside { #expect(block.contains(try #require(IPAddress(client))), "\(client)") }
        for client in outside { #expect(!block.contains(try #require(IPAddress(client))), "\(client)") }
    }

    @Test(
        "Blocks are written in one form, which can be read back",
        arguments: [
            ("192.0.2.7", "192.0.2.7"), ("192.0.2.7/32", "192.0.2.7"), ("192.0.2.0/24", "192.0.2.0/24"),
            ("2001:DB8:0::/32", "2001:db8::/32"), ("::1/128", "::1"), ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.7/128", "192.0.2.7"), ("::ffff:0:0/96", "0.0.0.0/0"), ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ])
    func descriptions(text: String, expected: String) throws {
        let block = try NetworkBlock(text)
        #expect(block.description == expected)
        #expect(try NetworkBlock(expected) == block)
    }

    private static let form = ["IP address", "CIDR block", "192.0.2.7", "192.0.2.0/24", "2001:db8::/32"]
    private static let lengthInIPv4 = ["prefix length", "0", "32"]
    private static let lengthInIPv6 = ["prefix length", "0", "128"]

    @Test(
        "The error says what is wrong, and what may have been meant",
        arguments: [
            ("192.0.2.7/24", ["bits", "24", "192.0.2.0/24", "network", "192.0.2.7", "address"]),
            ("10.1.0.0/8", ["bits", "8", "10.0.0.0/8", "network", "10.1.0.0", "address"]),
            ("1.2.3.4/0", ["bits", "0", "0.0.0.0/0", "network", "1.2.3.4", "address"]),
            ("2001:db8::1/32", ["bits", "32", "2001:db8::/32", "network", "2001:db8::1", "address"]),
            ("::ffff:192.0.2.7/120", ["bits", "120", "192.0.2.0/24", "network", "192.0.2.7", "address"]),
            ("192.0.2.0/33", lengthInIPv4),
            ("192.0.2.0/", lengthInIPv4),
            ("192.0.2.0/-1", lengthInIPv4),
            ("192.0.2.0/+8", lengthInIPv4),
            ("192.0.2.0/255.255.255.0", lengthInIPv4),
            ("192.0.2.0/99999999999999999999", lengthInIPv4),
            ("192.0.2.0/2 4", lengthInIPv4),
            ("2001:db8::/129", lengthInIPv6),
            ("2001:db8::/x", lengthInIPv6),
            ("::ffff:192.0.2.0/24", ["prefix", "IPv4-mapped", "96", "128"]),
            ("", form), ("/24", form), ("192.0.2.0/24/24", form), ("example.com", form), ("example.com/24", form),
            ("192.0.2.*", form), ("192.0.2", form), ("192.0/16", form), ("fe80::%eth0/64", form),
            ("fe80::1%eth0", form),
        ])
    func errors(text: String, facts: [String]) {
        let error = #expect(throws: NetworkBlock.ParseError.self) { try NetworkBlock(text) }
        #expect(error?.description.mentions(facts) == true, "\(error?.description ?? "")")
    }
}
