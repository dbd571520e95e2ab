import RelayCore
import TestSupport
import Testing

/// Which of several database servers is used.
@Suite struct PrimaryChoiceTests {
    private func servers(_ roles: DatabaseServer.Role...) -> [DatabaseServer] {
        roles.enumerated().map { DatabaseServer(name: "db\($0 + 1):5432", role: $1) }
    }

    @Test func `The only primary is chosen`() {
        let found = servers(.away("timeout"), .standby, .primary(timeline: 1, instance: 7))
        let choice = PrimaryChoice(among: found)
        #expect(choice.chosen == 2 && choice.timeline == 1 && choice.conflict == nil)
        #expect(
            found.summary.mentions("db1:5432", "timeout", "db2:5432", "standby", "db3:5432", "primary", "timeline 1"))
    }

    @Test func `A server that is away or in recovery is no primary`() {
        let choice = PrimaryChoice(among: servers(.away("timeout"), .standby))
        #expect(choice.chosen == nil && choice.conflict == nil)
    }

    @Test func `Of two primaries the one that was promoted later is chosen`() {
        let choice = PrimaryChoice(
            among: servers(.primary(timeline: 9, instance: 7), .primary(timeline: 10, instance: 8)))
        #expect(choice.chosen == 1 && choice.timeline == 10)
        #expect(choice.conflict == .old(["db1:5432"], used: "db2:5432"))
        #expect(choice.conflict?.explanation.mentions("two primaries", "db1:5432") == true)
        #expect(choice.conflict?.remedy.mentions("not", "synchronous_standby_names") == true)
    }

    @Test func `Of two primaries on one timeline neither is chosen`() {
        let choice = PrimaryChoice(
            among: servers(
                .primary(timeline: 1, instance: 6), .primary(timeline: 2, instance: 7),
                .primary(timeline: 2, instance: 8)))
        #expect(choice.chosen == nil)
        #expect(choice.conflict == .equal(["db2:5432", "db3:5432"], timeline: 2))
    }

    @Test func `Two names of one server are one primary`() {
        let found = servers(.primary(timeline: 2, instance: 7), .primary(timeline: 2, instance: 7))
        for preferred in 0...1 {
            let choice = PrimaryChoice(among: found, preferred: preferred)
            #expect(choice.chosen == preferred && choice.conflict == nil)
        }
    }

    @Test func `A timeline that is older than one that was used is refused`() {
        let found = servers(.primary(timeline: 1, instance: 7), .away("timeout"))
        let choice = PrimaryChoice(among: found, known: 2)
        #expect(choice.chosen == nil)
        #expect(choice.conflict == .onlyOld(["db1:5432"], newest: 1, known: 2))
        #expect(PrimaryChoice(among: found, known: 1).chosen == 0)
    }
}
