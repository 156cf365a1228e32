from . import datasets as datasets
from . import errors as errors
from . import figures as figures
from . import perturb as perturb
from . import report as report
from . import stain as stain
from .alignment import AlignmentResult as AlignmentResult
from .alignment import MapCurve as MapCurve
from .alignment import PooledMask as PooledMask
from .alignment import alignment as alignment
from .alignment import map_ceiling as map_ceiling
from .alignment import map_curve as map_curve
from .alignment import map_score as map_score
from .alignment import pool_mask as pool_mask
from .consistency import ConsistencyResult as ConsistencyResult
from .consistency import consistency as consistency
from .consistency import ec_score as ec_score
from .consistency import pairwise_similarity as pairwise_similarity
from .masks import MembraneMask as MembraneMask
from .masks import extract_membrane_mask as extract_membrane_mask
from .ranking import pixel_auc as pixel_auc
from .ranking import pointing_game as pointing_game
from .ranking import rank_accuracy as rank_accuracy
from .ranking import topk_intersection as topk_intersection
from .stain import estimate_background as estimate_background
from .stain import separate_stains as separate_stains

__version__: str
