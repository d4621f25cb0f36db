import logging
import os
import sys
import threading
import warnings

from course_lib.runtimes.quiet import caught_output, quiet_conversion


def test_what_is_written_to_the_descriptors_is_caught(capfd):
    print("before")
    with caught_output() as caught:
        os.write(1, b"one ")
        os.write(2, b"two")
    os.write(1, b"after")
    assert caught.text() == "one two"
    assert capfd.readouterr() == ("before\nafter", "")


def test_blocks_nest(capfd):
    with caught_output() as outer:
        os.write(2, b"a")
        with caught_output() as inner:
            os.write(2, b"b")
        os.write(2, b"c")
    assert outer.text() == "abc"
    assert inner.text().startswith("b")
    assert capfd.readouterr() == ("", "")


def test_blocks_of_several_threads_overlap(capfd):
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def first():
        with caught_output():
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second():
        first_in.wait(10)
        with caught_output():
            second_in.set()
            first_out.wait(10)
            os.write(2, b"still caught")

    threads = [threading.Thread(target=each) for each in (first, second)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    os.write(2, b"free")
    assert capfd.readouterr() == ("", "free")


def test_what_this_thread_prints_is_caught_and_what_others_print_is_not(capsys):
    with caught_output() as caught:
        print("mine", file=sys.stderr)
        other = threading.Thread(target=print, args=("theirs",))
        other.start()
        other.join()
    assert caught.text() == "mine\n"
    assert capsys.readouterr() == ("theirs\n", "")


def test_conversion_is_silent_and_leaves_everything_as_it_was(capfd, recwarn):
    before = (sys.stdout, sys.stderr, logging.root.manager.disable, list(warnings.filters))
    with quiet_conversion():
        print("print")
        print("error", file=sys.stderr)
        logging.getLogger("torch").error("log")
        warnings.warn("warning", stacklevel=1)
        os.write(2, b"C++")
    assert (sys.stdout, sys.stderr, logging.root.manager.disable, list(warnings.filters)) == before
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
