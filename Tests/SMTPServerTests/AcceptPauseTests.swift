import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import Listening

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite struct AcceptPauseTests {
    private let log = LogRecorder()
    private let loop = EmbeddedEventLoop()
    private let channel: EmbeddedChannel

    init() throws {
        channel = EmbeddedChannel(loop: loop)
        try channel.pipeline.syncOperations.addHandler(AcceptPause(logger: log.logger))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.syncOptions?.setOption(.autoRead, value: true)
    }

    private var isAccepting: Bool? {
        channel.options.last { $0.option is ChannelOptions.Types.AutoReadOption }?.value as? Bool
    }

    private func fail(_ code: CInt = EMFILE) {
        channel.pipeline.fireErrorCaught(IOError(errnoCode: code, reason: "accept"))
        // The error was passed on to the end of the pipeline.
        #expect(throws: IOError.self) { try channel.throwIfErrorCaught() }
    }

    @Test func aFailureStopsTheListenerForASecond() {
        fail()
        #expect(isAccepting == false)
        loop.advanceTime(by: .milliseconds(999))
        #expect(isAccepting == false)
        loop.advanceTime(by: .milliseconds(1))
        #expect(isAccepting == true)
        fail(ENOBUFS)
        #expect(isAccepting == false)
    }

    @Test func acceptFailuresAreLoggedOnceAMinute() {
        for _ in 0..<61 {
            fail()
            loop.advanceTime(by: .seconds(1))
        }
        let told = log.entries("can't accept connections")
        #expect(told.count == 2)
        #expect(told.allSatisfy { $0.metadata["remedy"]?.contains("LimitNOFILE=") == true })
    }

    @Test func stoppedListenerDoesNotResumeAfterThePause() throws {
        fail()
        try channel.triggerUserOutboundEvent(AcceptPause.Stop()).wait()
        loop.advanceTime(by: .seconds(2))
        #expect(isAccepting == false)
    }

    @Test func stoppedListenerAcceptsNothing() throws {
        try channel.triggerUserOutboundEvent(AcceptPause.Stop()).wait()
        #expect(isAccepting == false)
    }
}
