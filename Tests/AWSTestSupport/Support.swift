import AWSClient
import Glibc
import RelayCore
import TestSupport

extension ManualClock {
    /// A clock for calls to stand-ins for AWS. It shows 2026-11-24T14:33:17.042Z. The short pauses between two tries
    /// pass by themselves. A time-out comes when a test advances the clock.
    package static func forCalls() -> ManualClock {
        ManualClock(Timestamp(milliseconds: 1_795_530_797_042), skippingSleepsBelow: .seconds(1))
    }
}

/// A gate that is opened once. The tasks that wait at it continue then.
package actor Gate {
    private var isOpen = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    package init() {}

    package func open() {
        isOpen = true
        for waiter in waiters { waiter.resume() }
        waiters = []
    }

    package func passed() async {
        if !isOpen { await withCheckedContinuation { waiters.append($0) } }
    }
}

extension AWSCredentials {
    /// Credentials from AWS's documentation. Their form is valid, and they belong to no account.
    package static func example(
        _ id: String = "AKIDEXAMPLE", token: String? = nil, expiresAt: Timestamp? = nil
    ) throws -> AWSCredentials {
        guard
            let credentials = AWSCredentials(
                accessKeyID: id, secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", sessionToken: token,
                expiresAt: expiresAt)
        else { throw NotToBeHad() }
        return credentials
    }
}

/// A port of the loopback address at which no program listens. No other program can start to listen at it while this
/// object exists. (After a server has released a port, another program may soon use it.)
package final class RefusingPort {
    package let number: UInt16
    private let descriptor: CInt

    package init() throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isBound else { throw NotToBeHad() }
        number = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }
}

/// A test could not get something that it needs.
struct NotToBeHad: Error {}
