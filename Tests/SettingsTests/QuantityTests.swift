import RelayCore
import Testing

@testable import Settings

@Suite struct QuantityTests {
    @Test(arguments: [
        ("1500ms", 1500), ("0s", 0), ("30s", 30_000), ("30 sec", 30_000), ("5m", 300_000), ("5 min", 300_000),
        ("5  minutes", 300_000), ("1h", 3_600_000), ("2 Hours", 7_200_000), ("7d", 604_800_000), ("1 day", 86_400_000),
    ])
    func duration(text: String, milliseconds: Int64) {
        #expect(Duration(written: text) == .milliseconds(milliseconds))
    }

    @Test(arguments: [
        "", " ", "5", "s", "5x", "-5s", "+5s", "1.5h", "1h30m", " 5s", "5s ", "5\u{A0}s", "٥s", "5 s s", "0x5s",
        "9999999999999999s", "999999999999999d",
    ])
    func noDuration(text: String) { #expect(Duration(written: text) == nil) }

    @Test(arguments: [
        (0, "0s"), (1, "1ms"), (1500, "1500ms"), (30_000, "30s"), (60_000, "1m"), (90_000, "90s"), (3_600_000, "1h"),
        (172_800_000, "2d"), (129_600_000, "36h"), (-1500, "-1500ms"),
    ])
    func writtenDuration(milliseconds: Int64, text: String) {
        #expect(Duration.milliseconds(milliseconds).written == text)
    }

    @Test(arguments: [
        ("0", 0), ("65536", 65_536), ("65536 B", 65_536), ("512KiB", 524_288), ("512 kb", 512_000),
        ("10 MB", 10_000_000),
        ("28 MiB", 29_360_128), ("1 GiB", 1_073_741_824), ("2 gb", 2_000_000_000),
    ])
    func size(text: String, octets: Int) { #expect(ByteSize.parse(text) == octets) }

    @Test(arguments: ["", "MB", "28M", "28 Mbit", "1.5 MB", "-1", "1,000", "1 000", "28 MiB ", "999999999999999 GiB"])
    func invalidSizesAreRejected(text: String) { #expect(ByteSize.parse(text) == nil) }

    @Test(arguments: [
        (0, "0"), (1, "1"), (1023, "1023"), (1024, "1 KiB"), (29_360_128, "28 MiB"), (10_000_000, "10 MB"),
        (1 << 30, "1 GiB"),
    ])
    func writtenSize(octets: Int, text: String) { #expect(ByteSize.write(octets) == text) }
}

@Suite struct SpellingTests {
    @Test(arguments: [
        ("", "", 0), ("a", "", 1), ("", "ab", 2), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "axc", 1),
        ("ab", "ba", 1),
        ("kitten", "sitting", 3),
    ])
    func distance(a: String, b: String, distance: Int) { #expect(Spelling.distance(a, b) == distance) }

    @Test(arguments: [
        ("databse", "database"), ("submission.max-recipients", "submission.max_recipients"),
        ("submission.MAX_RECIPIENTS", "submission.max_recipients"), ("max_recipients", "submission.max_recipients"),
        ("delivery.max_recipients", "submission.max_recipients"), ("log.levle", "log.level"),
        ("entirely.different", nil), ("", nil), (String(repeating: "x", count: 5000), nil),
    ])
    func nearest(name: String, meant: String?) {
        #expect(Spelling.nearest(to: name, among: RelaySettings.reference.map(\.name)) == meant)
    }
}

@Suite struct HostNameTests {
    @Test(arguments: ["localhost", "relay.example.com", "mx-1", "a.b.c", "1a", "xn--bcher-kva.example"])
    func valid(name: String) { #expect(HostName.isValid(name)) }

    @Test(arguments: [
        "", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "a b", "bücher.example", "192.0.2.1", "1",
        String(repeating: "a", count: 64), String(repeating: "a.", count: 127),
    ])
    func invalid(name: String) { #expect(!HostName.isValid(name)) }

    @Test func hostNameOfThisMachineIsValid() { #expect(HostName.isValid(HostName.ofThisMachine())) }
}
