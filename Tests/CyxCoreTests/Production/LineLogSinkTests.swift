import CyxCore
import Glibc
import Testing

struct LineLogSinkTests {
    private func lines(_ write: (Logger) -> Void) throws -> String {
        var template = Array("/tmp/cyx-log-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        defer { close(descriptor) }
        let path = template.withUnsafeBufferPointer {
            String(decoding: $0.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        defer { unlink(path) }
        let sink = try LineLogSink.file(path)
        write(
            Logger(part: "test", minimumLevel: .info, sink: sink) {
                WallTime(milliseconds: 1_772_368_245_250)
            })
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = read(descriptor, &buffer, buffer.count)
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }

    @Test func anEventIsOneLineOfLogfmt() throws {
        let text = try lines { logger in
            logger.debug("not shown")
            logger.info("joined", [("peers", "5"), ("zone", "rack 1")])
            logger.labelled("udp").warning("odd \"name\"\nnext=\u{1B}[31m\\", [("empty", "")])
        }
        #expect(
            text == """
                time=2026-03-01T12:30:45.250Z level=info part=test msg=joined peers=5 zone="rack 1"
                time=2026-03-01T12:30:45.250Z level=warning part=udp \
                msg="odd \\"name\\"\\nnext=\\u{1b}[31m\\\\" empty=""

                """)
    }

    @Test func aFileThatCannotBeOpenedIsAnError() {
        let error = #expect(throws: SystemError.self) { try LineLogSink.file("/dev/null/x") }
        #expect(error?.description == "open /dev/null/x: Not a directory")
    }
}
