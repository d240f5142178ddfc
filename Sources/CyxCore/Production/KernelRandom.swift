internal import CyxKernels
internal import Glibc

/// The kernel's random source (getrandom(2)): fit for keys and nonces.
package final class KernelRandom: RandomSource {
    package init() {}

    package func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        var filled = 0
        while filled < buffer.count, let base = buffer.baseAddress {
            let count = cyx_random(base + filled, buffer.count - filled)
            // Only EINTR is possible once the pool is initialised, and a program that cannot have
            // random bytes must not go on.
            precondition(count >= 0 || count == -Int64(EINTR), "the kernel gives no random bytes")
            filled += max(0, Int(count))
        }
    }
}
