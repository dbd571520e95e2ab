import RelayCore
import TestSupport
import Testing

@testable import Webhooks

@Suite("When each webhook is called") struct WebhookMachineTests {
    private let now = Sample.now

    /// The free places of each webhook in the next claim, after a look that found a due call.
    private func room(_ machine: inout WebhookMachine, at now: Timestamp) -> [WebhookID: Int]? {
        machine.looked(now, at: now)
        return machine.plan(at: now).claim?.room
    }

    /// Claims `calls`, if the machine plans a claim.
    private func claimed(
        _ machine: inout WebhookMachine, _ calls: [(WebhookCall, Webhook)], at now: Timestamp
    ) -> [WebhookMachine.Start] {
        guard let claim = machine.plan(at: now).claim else { return [] }
        return machine.claimed(calls.map { (call: $0.0, webhook: $0.1) }, by: claim, at: now)
    }

    private func calls(_ count: Int, of hook: Webhook, from first: Int64 = 1) -> [(WebhookCall, Webhook)] {
        (0..<Int64(count)).map { (call(first + $0, of: hook), hook) }
    }

    @Test("The machine begins with a claim for all places, 4 for each webhook") func first() {
        var machine = WebhookMachine()
        let plan = machine.plan(at: now)
        #expect(
            plan.claim
                == WebhookMachine.Claim(
                    limit: 64, room: [:], otherwise: 4, ofFailing: 32, leaseUntil: now + .seconds(30)))
        // There is only one claim at a time.
        #expect(machine.plan(at: now).claim == nil)
    }

    @Test("If nothing is due, it looks again after a second or when the next call is due") func idle() {
        var machine = WebhookMachine()
        #expect(claimed(&machine, [], at: now).isEmpty)
        #expect(machine.plan(at: now).wakeAt == now + .seconds(1))
        let later = now + .seconds(1)
        let plan = machine.plan(at: later)
        #expect(plan.look && plan.claim == nil)
        machine.looked(later + .milliseconds(400), at: later)
        #expect(machine.plan(at: later).wakeAt == later + .milliseconds(400))
        let due = later + .milliseconds(400)
        #expect(machine.plan(at: due).look)
        machine.looked(due, at: due)
        #expect(machine.plan(at: due).claim != nil)
    }

    @Test("Events make it look at once, 10 times a second at most") func woken() {
        var machine = WebhookMachine()
        _ = claimed(&machine, [], at: now)
        machine.woken()
        #expect(!machine.plan(at: now).look)
        #expect(machine.plan(at: now).wakeAt == now + .milliseconds(100))
        #expect(machine.plan(at: now + .milliseconds(100)).look)
    }

    @Test("A webhook gets no more than 4 places") func room() {
        var machine = WebhookMachine()
        let hook = webhook()
        let starts = claimed(&machine, calls(4, of: hook), at: now)
        #expect(starts.count == 4)
        _ = machine.finished(starts[0], ok, startedAt: now, at: now, random: 0.5)
        let plan = machine.plan(at: now)
        #expect(plan.claim?.room == [hook.id: 1])
        #expect(plan.settle.map(\.verdict) == [.delivered])
        // The result that is not recorded yet also uses a place.
        #expect(plan.claim?.limit == 60)
    }

    @Test("A webhook that fails has one place, after a pause") func failing() {
        var machine = WebhookMachine()
        let hook = webhook()
        let starts = claimed(&machine, calls(2, of: hook), at: now)
        #expect(machine.finished(starts[0], broken, startedAt: now, at: now, random: 0.5).change == true)
        #expect(machine.finished(starts[1], broken, startedAt: now, at: now, random: 0.5).change == nil)
        #expect(room(&machine, at: now) == [hook.id: 0])
        machine = WebhookMachine()
        let again = claimed(&machine, calls(1, of: webhook(failing: true)), at: now)
        _ = machine.finished(again[0], broken, startedAt: now, at: now, random: 0.5)
        // The store gives one place to a webhook that fails.
        #expect(room(&machine, at: now + .seconds(1)) == [:])
    }

    @Test("Retry-After also delays the other calls to the receiver, by a minute at most") func timeout() {
        var machine = WebhookMachine()
        let hook = webhook(failing: true)
        let starts = claimed(&machine, calls(1, of: hook), at: now)
        let busy = WebhookResult.answered(status: 429, retryAfter: "3600", excerpt: "")
        let (attempt, _) = machine.finished(starts[0], busy, startedAt: now, at: now, random: 0.5)
        #expect(attempt.verdict == .retry(at: now + .seconds(3600)))
        var later = machine
        #expect(room(&machine, at: now + .seconds(59)) == [hook.id: 0])
        #expect(room(&later, at: now + .seconds(60)) == [:])
    }

    @Test("A webhook that works again has all its places at once") func recovered() {
        var machine = WebhookMachine()
        let starts = claimed(&machine, calls(1, of: webhook(failing: true)), at: now)
        #expect(machine.finished(starts[0], ok, startedAt: now, at: now, random: 0.5).change == false)
        #expect(machine.plan(at: now).claim?.room == [:])
    }

    @Test("Any number of receivers that hang leave half of the places to the others") func manyHang() {
        var machine = WebhookMachine()
        let hanging = (1...100).map { webhook(UInt64($0), failing: true) }
        let starts = claimed(&machine, hanging.prefix(60).map { (call(1, of: $0), $0) }, at: now)
        for start in starts { _ = machine.finished(start, .failed("timed out"), startedAt: now, at: now, random: 0.5) }
        _ = machine.plan(at: now)
        machine.looked(now, at: now)
        #expect(machine.plan(at: now).claim?.ofFailing == 32)
        var busy = WebhookMachine()
        _ = claimed(&busy, hanging.prefix(20).map { (call(1, of: $0), $0) }, at: now)
        busy.looked(now, at: now)
        #expect(busy.plan(at: now + .seconds(1)).claim?.ofFailing == 12)
        #expect(busy.plan(at: now + .seconds(1)).claim?.room.values.allSatisfy { $0 == 0 } ?? true)
    }

    @Test("If the clock is set back by an hour, no call waits an hour longer") func clockPutBack() {
        var machine = WebhookMachine()
        let starts = claimed(&machine, calls(1, of: webhook()), at: now)
        _ = machine.finished(starts[0], broken, startedAt: now, at: now, random: 0.5)
        let back = now - .seconds(3600)
        machine.settled([])
        machine.woken()
        let plan = machine.plan(at: back)
        #expect(plan.look || plan.claim != nil)
        #expect(plan.wakeAt.map { $0 <= back + .seconds(60) } ?? true)
    }

    @Test("Results that can't be recorded use places of calls, and recording is tried again") func storeFails() {
        var machine = WebhookMachine(limits: .init(calls: 2))
        let starts = claimed(&machine, calls(2, of: webhook()), at: now)
        for start in starts { _ = machine.finished(start, ok, startedAt: now, at: now, random: 0.5) }
        let plan = machine.plan(at: now)
        #expect(plan.settle.count == 2 && plan.claim == nil)
        machine.settlingFailed(plan.settle, at: now)
        #expect(machine.occupied == 2)
        let waiting = machine.plan(at: now)
        #expect(waiting.settle.isEmpty && waiting.claim == nil && waiting.wakeAt == now + .seconds(1))
        let second = machine.plan(at: now + .seconds(1))
        machine.settlingFailed(second.settle, at: now + .seconds(1))
        #expect(machine.plan(at: now + .seconds(1)).wakeAt == now + .seconds(3))
        #expect(machine.plan(at: now + .seconds(3)).settle.count == 2)
        machine.settled([])
        #expect(machine.plan(at: now + .seconds(3)).claim?.limit == 2)
    }

    @Test("When it stops, it claims no more calls, and records those that end") func stop() {
        var machine = WebhookMachine()
        let starts = claimed(&machine, calls(1, of: webhook()), at: now)
        machine.stop(at: now)
        let plan = machine.plan(at: now)
        #expect(!plan.isFinished && plan.claim == nil)
        _ = machine.finished(starts[0], ok, startedAt: now, at: now, random: 0.5)
        #expect(machine.plan(at: now).settle.count == 1)
        #expect(!machine.plan(at: now).isFinished)
        machine.settled([])
        #expect(machine.plan(at: now).isFinished)
    }

    @Test("When it stops, it waits 3 s for a receiver that hangs") func stopWhileHanging() {
        var machine = WebhookMachine()
        #expect(claimed(&machine, calls(2, of: webhook()), at: now).count == 2)
        machine.stop(at: now)
        #expect(!machine.plan(at: now).isFinished)
        #expect(machine.plan(at: now).wakeAt == now + .seconds(3))
        machine.stop(at: now + .seconds(2))
        #expect(machine.plan(at: now + .seconds(3)).isFinished)
    }

    /// A plan that asks to be woken in the past would make the loop spin.
    @Test("It never asks to be woken in the past") func noSpinning() {
        var machine = WebhookMachine(limits: .init(calls: 1))
        let starts = claimed(&machine, calls(1, of: webhook()), at: now)
        for seconds in 1...10 {
            let later = now + .seconds(seconds)
            machine.woken()
            if let wakeAt = machine.plan(at: later).wakeAt { #expect(wakeAt > later) }
        }
        #expect(starts.count == 1)
    }

    @Test("However many calls wait, it holds 64 at most") func bounded() {
        var machine = WebhookMachine()
        let hooks = (1...100).map { webhook(UInt64($0)) }
        var (left, now, most) = (100_000, now, 0)
        while left > 0 {
            guard let claim = machine.plan(at: now).claim else {
                now = now + .seconds(1)
                if machine.plan(at: now).look { machine.looked(now, at: now) }
                continue
            }
            let taken = (0..<min(claim.limit, left)).map { number in
                (call: call(Int64(left - number), of: hooks[number]), webhook: hooks[number])
            }
            let starts = machine.claimed(taken, by: claim, at: now)
            most = max(most, machine.occupied)
            left -= starts.count
            for start in starts { _ = machine.finished(start, ok, startedAt: now, at: now, random: 0.5) }
            most = max(most, machine.occupied)
            if !machine.plan(at: now).settle.isEmpty { machine.settled([]) }
        }
        #expect(most == 64)
    }
}
