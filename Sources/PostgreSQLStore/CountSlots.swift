import RelayCore
import Synchronization

/// The rows to which a process adds what it counts for a day.
///
/// Each addition leaves a dead version of the row, which stays for as long as any transaction on the server is open,
/// and each later addition to the row passes all dead versions. So after some additions a process starts another row,
/// which has the next slot. Readers sum up the rows.
struct CountSlots {
    /// What is counted: the id of a key or the name of an environment, and the day.
    struct Place: Hashable {
        var whose: String
        var day: Int64
    }

    private struct Entry {
        var slot: Int64 = 0
        var additions = 0
    }

    private var entries: [Place: Entry] = [:]

    /// The additions to a row before the next one is used.
    static let additionsPerSlot = 250
    /// The most places that are remembered. A place that was forgotten starts with its first slot again, which is
    /// correct, but makes that row's additions slower.
    static let mostPlaces = 10_000

    /// The slot for the next addition.
    mutating func next(_ place: Place) -> Int64 {
        if entries.count >= CountSlots.mostPlaces, entries[place] == nil { entries = [:] }
        var entry = entries[place, default: Entry()]
        if entry.additions == CountSlots.additionsPerSlot { entry = Entry(slot: entry.slot + 1) }
        entry.additions += 1
        entries[place] = entry
        return entry.slot
    }
}

/// The slots of a process, which its connections share.
final class SharedCountSlots: Sendable {
    private let usage = Mutex(CountSlots())
    private let feedback = Mutex(CountSlots())

    /// The slots of the next additions to the table `usage`.
    func usage(_ places: [CountSlots.Place]) -> [Int64] {
        usage.withLock { slots in places.map { slots.next($0) } }
    }

    /// The slots of the next additions to the table `feedback_by_day`.
    func feedback(_ places: [CountSlots.Place]) -> [Int64] {
        feedback.withLock { slots in places.map { slots.next($0) } }
    }
}
