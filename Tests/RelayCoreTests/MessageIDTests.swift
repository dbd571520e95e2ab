import TestSupport
import Testing

@testable import RelayCore

@Suite("Message ids")
struct MessageIDTests {
    private static let noon = Timestamp(milliseconds: 1_795_530_797_042)

    @Test("10,000 ids of one millisecond are all different and in order")
    func burst() {
        var generator = InstanceIDs(instance: 5)
        let ids = (0..<10_000).map { _ in generator.next(at: Self.noon) }
        #expect(Set(ids).count == 10_000)
        #expect(ids == ids.sorted())
        #expect(ids.map(\.description) == ids.map(\.description).sorted())
    }

    @Test("Ids stay in order when the clock stands still, steps back or is before 2020")
    func clock() {
        var generator = InstanceIDs(instance: 5)
        let offsets: [Int64] = [0, 0, 1, -1, -3_600_000, -3_600_000, 2, 2, -10, 5, 1000, 0]
        var previous: MessageID?
        for offset in [-1_795_530_797_042 - 5, -1_795_530_797_042] + offsets {
            let id = generator.next(at: Timestamp(milliseconds: Self.noon.milliseconds + offset))
            if let previous { #expect(previous < id, "\(offset)") }
            previous = id
        }
    }

    @Test("Ids that were taken from later milliseconds are not used again in those milliseconds")
    func borrowed() {
        var generator = InstanceIDs(instance: 5)
        var ids = Set<MessageID>()
        for _ in 0..<9000 { ids.insert(generator.next(at: Self.noon)) }
        for step in 1...4 as ClosedRange<Int64> {
            for _ in 0..<10 { ids.insert(generator.next(at: Timestamp(milliseconds: Self.noon.milliseconds + step))) }
        }
        #expect(ids.count == 9040)
    }

    @Test("Relays on one store never hand out the same id")
    func instances() {
        var generators = (0..<64).map { InstanceIDs(instance: $0) }
        var ids = Set<MessageID>()
        for index in generators.indices {
            for _ in 0..<50 { ids.insert(generators[index].next(at: Self.noon)) }
        }
        #expect(ids.count == 64 * 50)
    }

    @Test(
        "An instance number is taken modulo 1,024",
        arguments: [(0, 1024), (3, 1027), (-1, 1023), (.min, 0)] as [(Int64, Int64)])
    func modulo(a: Int64, b: Int64) {
        var first = InstanceIDs(instance: a)
        var second = InstanceIDs(instance: b)
        #expect(first.next(at: Self.noon) == second.next(at: Self.noon))
    }

    @Test("After a restart with the clock set back, new ids exceed the newest id", arguments: [0, 1, 7] as [Int64])
    func restart(other: Int64) {
        var before = InstanceIDs(instance: other)
        let newest = (0..<9).map { _ in before.next(at: Self.noon) }.max()
        let again = Timestamp(milliseconds: Self.noon.milliseconds - 86_400_000)
        var after = InstanceIDs(instance: 1, after: newest)
        let ids = (0..<5000).map { _ in after.next(at: again) }
        #expect(Set(ids).count == ids.count)
        #expect(ids == ids.sorted())
        #expect(ids.allSatisfy { $0 > newest ?? $0 && $0.instance == 1 })
        // Another relay may have made the newest id, and this relay may have made others in the same millisecond.
        #expect(ids.allSatisfy { $0.rawValue >> 22 > Self.noon.milliseconds - 1_577_836_800_000 })
    }

    @Test("Once the clock has passed the newest id, ids show the time again")
    func caughtUp() {
        var before = InstanceIDs(instance: 0)
        var after = InstanceIDs(instance: 0, after: before.next(at: Self.noon))
        let later = Timestamp(milliseconds: Self.noon.milliseconds + 5000)
        #expect(after.next(at: later).rawValue == MessageID.first(at: later))
    }

    @Test("Ids stay in order and different when the relay gets another number", arguments: [0, 1, 4095, 4096, 5000])
    func otherNumber(before: Int) {
        var generator = MessageIDGenerator()
        var ids: [MessageID] = []
        for number in [900, 3, 3, 1000, 0, 1023, 0] as [Int64] {
            for _ in 0..<max(1, before) {
                let id = generator.next(at: Self.noon, instance: number)
                #expect(id.instance == number)
                ids.append(id)
            }
        }
        #expect(Set(ids).count == ids.count)
        #expect(ids == ids.sorted())
    }

    @Test("The parts of an id are where the format says")
    func layout() {
        var generator = InstanceIDs(instance: 1023)
        _ = generator.next(at: Self.noon)
        let id = generator.next(at: Self.noon)
        #expect(id.rawValue >> 22 == Self.noon.milliseconds - 1_577_836_800_000)
        #expect(id.rawValue >> 12 & 1023 == 1023)
        #expect(id.rawValue & 4095 == 1)
    }

    @Test(
        "Text and number",
        arguments: [
            (0, "0000000000000"), (1, "0000000000001"), (31, "000000000000z"), (32, "0000000000010"),
            (1 << 62, "4000000000000"), (.max, "7zzzzzzzzzzzz"),
        ] as [(Int64, String)])
    func text(value: Int64, text: String) throws {
        let id = try #require(MessageID(rawValue: value))
        #expect(id.description == text)
        #expect(MessageID(text) == id)
        #expect(MessageID(text.uppercased()) == id)
    }

    @Test("The text of an id can be read back, and is ordered like the numbers")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: 9)
        let ids = try (0..<2000).map { _ in
            try #require(MessageID(rawValue: Int64.random(in: 0 ... .max, using: &generator)))
        }
        for id in ids { #expect(MessageID(id.description) == id) }
        #expect(ids.sorted().map(\.description) == ids.map(\.description).sorted())
    }

    @Test(
        "Text that is not an id is refused",
        arguments: [
            "", "000000000000", "00000000000000", "8000000000000", "zzzzzzzzzzzzz", "000000000000i", "000000000000l",
            "000000000000o", "000000000000u", "000000000000 ", "-000000000001", "00000000000\u{E9}",
            // KELVIN SIGN, whose lower case is the letter k.
            "0000000000\u{212A}", "\u{212A}0000000000",
        ])
    func notIDs(text: String) {
        #expect(MessageID(text) == nil)
    }

    @Test("No negative number is an id", arguments: [-1, .min] as [Int64])
    func negative(value: Int64) {
        #expect(MessageID(rawValue: value) == nil)
    }

    @Test("The form of the HTTP API is read too, but nothing that only resembles it")
    func external() throws {
        let id = try #require(MessageID(rawValue: 1 << 40))
        #expect(id.external == "msg_" + id.description)
        #expect(MessageID(id.external) == id)
        #expect(MessageID("msg_" + id.description.uppercased()) == id)
        for text in ["msg_", "MSG_\(id)", "msg\(id)", "msg_msg_\(id)", "\(id)msg_", "msg_\(id)0", " msg_\(id)"] {
            #expect(MessageID(text) == nil)
        }
    }
}
