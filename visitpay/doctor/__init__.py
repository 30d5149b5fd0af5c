"""The doctor: whether a load can work here, and what to do if it cannot."""

from visitpay.doctor.examined import Examined as Examined
from visitpay.doctor.examined import State as State
from visitpay.doctor.examining import examine as examine
from visitpay.doctor.telling import Told as Told
