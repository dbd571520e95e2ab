import Testing

@testable import hiveku_relay

@Suite struct TableTests {
    @Test func columnsAreAligned() {
        var table = Table(["KEY", "EMAILS", "NAME"], rightAligned: [1])
        table.append(["1", "12345678", "shop"])
        table.append(["22222", "1", ""])
        #expect(
            table.lines == [
                "KEY      EMAILS  NAME",
                "1      12345678  shop",
                "22222         1",
            ])
    }

    @Test func controlCharactersAreNotWrittenToTheTerminal() {
        var table = Table(["NAME"])
        table.append(["a\u{1B}[2Jb\nc"])
        #expect(table.lines.count == 2)
        #expect(table.lines.allSatisfy { line in line.unicodeScalars.allSatisfy { $0.value >= 0x20 } })
    }
}
